"""The gateway's part, by the deployed rules: rows of the process table, placement, and what an engine is told.

One gateway with the table in its own memory stands for any number of them: the table's rows change by the same
transitions, in the order of virtual time.
"""

from collections.abc import Sequence

from autellix_bench.simulation.threads import Thread
from autellix_core import placement, program
from autellix_core.placement import EngineLoad, PlacementPolicy
from autellix_core.priority import Policy, entry_service
from autellix_core.program import CallId, EngineId, Program, ProgramId
from autellix_core.wire import CallHeaders, Report

__all__ = ["Gateway"]

_NO_LEASE_S = float("inf")


class Gateway:
    """Programs, and how many calls each engine holds. ``turn``: the engine that round robin begins with."""

    def __init__(self, policy: Policy, placed: PlacementPolicy, engines: Sequence[str], *, turn: int = 0) -> None:
        self._policy, self._placement, self._turn = policy, placed, turn
        self._loads = [EngineLoad(EngineId(engine), 0) for engine in engines]
        self._index = {engine: index for index, engine in enumerate(engines)}
        self._rows: dict[str, Program] = {}

    def arrive(self, thread: Thread, *, now: float) -> CallHeaders:
        """Register the call; it is told what its program had up to now."""
        name, call = thread.of.program.id, CallId(thread.id)
        row = self._rows.get(name) or Program(ProgramId(name), tenant="", model="", created_at=now)
        self._rows[name], _ = program.arrive(row, call, fence=thread.serial, now=now, lease_s=_NO_LEASE_S)
        entry_s = entry_service(self._policy, critical_path_s=row.critical_path_s, service_s=row.service_s)
        return CallHeaders(
            program=name,
            call=thread.id,
            service_s=entry_s,
            program_wait_s=row.wait_s,
            program_service_s=row.service_s,
            policy=self._policy,
        )

    def place(self, thread: Thread) -> str:
        """The engine that the call goes to; its program's home may change."""
        name = thread.of.program.id
        row = self._rows[name]
        placed = placement.place(
            self._placement, self._loads, tokens=thread.call.prompt_tokens, home=row.home, turn=self._turn
        )
        self._turn += 1
        self._rows[name] = program.dispatch(
            row, CallId(thread.id), fence=thread.serial, engine=placed.engine, home=placed.home
        )
        self._count(placed.engine, 1)
        thread.engine = placed.engine
        return placed.engine

    def settle(self, thread: Thread, report: Report, *, now: float) -> None:
        """Fold what the call cost into its program. The row of a program that is over goes."""
        name, call = thread.of.program.id, CallId(thread.id)
        row, _ = program.settle(self._rows[name], call, report.measured, fence=thread.serial, now=now, completed=True)
        self._rows[name] = row
        if not thread.of.left:
            del self._rows[name]
        if thread.engine is not None:
            self._count(thread.engine, -1)

    def _count(self, engine: str, calls: int) -> None:
        index = self._index[engine]
        load = self._loads[index]
        self._loads[index] = EngineLoad(load.id, load.calls + calls)
