"""What a table was told lately and may yet lose.

A server that dies loses what it acknowledged but had not written to its log, a replica that takes over what had not
reached it: the last second or two. So what was told is kept for a while, and then the table is asked whether it still
knows it. That finds a loss whether or not anyone noticed that the table was away.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from autellix_core.program import ProgramId
from autellix_gateway.table.journal import Settled, Started
from autellix_gateway.table.protocol import ProcessTable

__all__ = ["Ended", "Told"]

_SAFE_AFTER_S = 5.0
"""Redis with ``appendfsync everysec`` may hold a write back for two seconds while it waits for its disk, and syncs once
a second."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A session that was ended."""

    program: ProgramId


_Entry: TypeAlias = Settled | Started | Ended


class Told:
    """At most so many entries, the oldest let go for the newest, since they are the least likely to be lost.

    ``clock`` gives seconds. An entry older than ``remembered_s`` is let go: by then the table may have forgotten it
    because it was due.
    """

    def __init__(self, at_most: int, clock: Callable[[], float], *, remembered_s: float) -> None:
        self._entries: deque[tuple[float, _Entry]] = deque(maxlen=at_most)
        self._clock = clock
        self._remembered_s = remembered_s

    def note(self, entry: _Entry) -> None:
        """Keep what the table was told just now."""
        self._entries.append((self._clock(), entry))

    async def lost(self, table: ProcessTable, *, even_new: bool) -> list[_Entry]:
        """What ``table`` does not know any more, in the order in which it was told; nothing is asked for twice.

        Entries too new to be safe are left for later, unless ``even_new``: the table has come back, so it has lost
        by now what it was going to lose. Raises ``TableAway``, and then all is asked for again.
        """
        now = self._clock()
        asked: list[tuple[float, _Entry]] = []
        while self._entries and (even_new or now - self._entries[0][0] >= _SAFE_AFTER_S):
            asked.append(self._entries.popleft())
        try:
            return await _unknown(table, [entry for at, entry in asked if now - at < self._remembered_s])
        except BaseException:
            self._entries.extendleft(reversed(asked))
            raise


async def _unknown(table: ProcessTable, entries: list[_Entry]) -> list[_Entry]:
    calls = [entry.arrival.call for entry in entries if isinstance(entry, Settled)]
    unsettled = set(await table.unsettled(calls)) if calls else set()
    unknown: list[_Entry] = []
    told_again: set[ProgramId] = set()
    for entry in entries:
        match entry:
            case Settled():
                program, is_known = entry.arrival.program, entry.arrival.call not in unsettled
            case Started():
                program = entry.program
                is_known = await table.program(program) is not None
            case Ended():
                program = entry.program
                row = await table.program(program)
                # One that is gone stays gone, unless what came before its end brings it back.
                is_known = program not in told_again if row is None else row.ended_at is not None
        if not is_known:
            unknown.append(entry)
            told_again.add(program)
    return unknown
