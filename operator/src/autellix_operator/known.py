"""What the gateways said last of every program, kept up to date by asking for what changed since.

While none answers, or the one that does cannot reach the table (``shared: false``), all stays as it was: nothing is
concluded from silence.
"""

import logging
from collections.abc import Iterable

from autellix_core.pools import ProgramJSON
from autellix_operator.errors import GatewayError
from autellix_operator.gateways import Gateway
from autellix_operator.mirroring import last_active
from autellix_operator.status import OPEN_STATES

__all__ = ["Known"]

_LOG = logging.getLogger(__name__)
_OVERLAP_S = 1.0
"""Asked for again, as one instant of the table may fall into two answers."""
_PAGE = 1000
_LARGEST_PAGE = 5000
"""As gateways have it. What was cut off is older: programs that have an object are asked for one by one."""
_FORGET_S = 7200.0
"""Programs that nothing happened to for so long are dropped from memory, unless they have an object."""
_TRIM_EVERY_S = 30.0
_ASKED_ONE_BY_ONE = 20


class Known:
    """Programs by id, and the engines that exist."""

    def __init__(self, gateway: Gateway) -> None:
        self.programs: dict[str, ProgramJSON] = {}
        self.engines: frozenset[str] = frozenset()
        self.reached = False
        """The last answer came, and from a gateway that shares its table."""
        self.at = 0.0
        """The table's clock of that answer; 0 before the first."""
        self._gateway = gateway
        self._heard: dict[str, float] = {}
        self._trimmed_at = 0.0

    async def poll(self) -> set[str]:
        """Ask for what changed; the ids of programs that did. Never raises for the gateways' sake."""
        try:
            since = max(self.at - _OVERLAP_S, 0.0)
            answer = await self._gateway.programs(active_since=since, limit=_PAGE)
            if answer["more"]:
                answer = await self._gateway.programs(active_since=since, limit=_LARGEST_PAGE)
            if answer["shared"] and answer["at"] < self.at:
                self.at = 0.0  # another table: ask for all of it the next time
                return set()
            pools = await self._gateway.pools() if answer["shared"] else None
        except GatewayError as error:
            self._log_once(f"programs stay as they were: {error}")
            return set()
        if pools is None:
            self._log_once("programs stay as they were: the gateway that answered cannot reach the process table")
            return set()
        self.reached, self.at = True, answer["at"]
        self.engines = frozenset(engine["id"] for pool in pools["pools"] for engine in pool["engines"])
        return {program["id"] for program in answer["programs"] if self.note(program)}

    def note(self, program: ProgramJSON) -> bool:
        """Remember what was said of a program; whether it is news."""
        self._heard[program["id"]] = self.at
        program.pop("token", None)
        if self.programs.get(program["id"]) == program:
            return False
        self.programs[program["id"]] = program
        return True

    async def ask_after(self, programs: Iterable[str], *, silent_s: float) -> set[str]:
        """Ask for those of these that nothing was heard of for so long, some at a time; the ids of which changed.

        A program that expires, or that the table lost, does so without anything happening to it.
        """
        silent = sorted(
            (self._heard.get(program, 0.0), program)
            for program in programs
            if self.at - self._heard.get(program, 0.0) >= silent_s
        )
        changed = set()
        for _, program in silent[:_ASKED_ONE_BY_ONE]:
            try:
                row = await self._gateway.program(program)
            except GatewayError:
                break
            if row is not None and self.note(row):
                changed.add(program)
            elif row is None:
                self._heard[program] = self.at
                if self.programs.pop(program, None) is not None:
                    changed.add(program)
        return changed

    def trim(self, shown: Iterable[str]) -> None:
        """Forget, now and then, programs without an object that are over, or that nothing happened to for long."""
        if 0.0 <= self.at - self._trimmed_at < _TRIM_EVERY_S:
            return
        self._trimmed_at = self.at
        keep = set(shown)
        for program, row in list(self.programs.items()):
            silent = self.at - last_active(row) >= _FORGET_S
            if program not in keep and (silent or row["state"] not in OPEN_STATES):
                del self.programs[program]
        for program in self._heard.keys() - self.programs.keys() - keep:
            del self._heard[program]

    def _log_once(self, message: str) -> None:
        if self.reached or not self.at:
            _LOG.warning(message)
        self.reached = False
