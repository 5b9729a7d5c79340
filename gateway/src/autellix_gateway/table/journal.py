"""What happened while the shared table was away, to be told to it when it is back."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from autellix_core.program import EngineId, Measured, ProgramId
from autellix_gateway.table.protocol import (
    Arrival,
    CallRef,
    ProcessTable,
    SessionEnded,
    TooManyPrograms,
)

__all__ = ["Journal", "Settled", "Started"]


@dataclass(frozen=True, slots=True)
class Started:
    """A session that was opened."""

    program: ProgramId
    tenant: str
    model: str
    mirror: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """A call that ended. ``ref`` is what it was known by on the table that is away, None if it never was."""

    arrival: Arrival
    ref: CallRef | None
    engine: EngineId | None
    home: bool
    measured: Measured
    completed: bool


class Journal:
    """At most so many entries, the oldest given up for the newest."""

    def __init__(self, at_most: int) -> None:
        self._at_most = at_most
        self._entries: deque[Started | Settled] = deque()
        self._dropped = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def note(self, entry: Started | Settled) -> None:
        """Keep an entry for later."""
        if len(self._entries) >= self._at_most:
            self._entries.popleft()
            self._dropped += 1
        self._entries.append(entry)

    def note_earlier(self, entries: Sequence[Started | Settled]) -> None:
        """Put entries before all others: they were told once, before the others happened, and were lost since."""
        for entry in reversed(entries):
            if len(self._entries) >= self._at_most:
                self._dropped += 1
            else:
                self._entries.appendleft(entry)

    def drop(self) -> None:
        """Count something that will not be told."""
        self._dropped += 1

    def take_dropped(self) -> int:
        """How much was given up since this was last asked."""
        dropped, self._dropped = self._dropped, 0
        return dropped

    async def replay_one(self, table: ProcessTable, *, remembered: bool) -> Started | Settled | None:
        """Tell ``table`` the oldest entry, which leaves the journal once it is done; returned if it was news.

        ``remembered``: the table still knows every call that was settled since it was last heard of, so a call that
        it does not know was lost with its data, and may arrive there again without counting twice.
        """
        entry = self._entries[0]
        was_news = False
        try:
            if isinstance(entry, Started):
                await table.start_session(entry.program, tenant=entry.tenant, model=entry.model, mirror=entry.mirror)
                was_news = True
            else:
                was_news = await _settle(table, entry, remembered=remembered)
        except (SessionEnded, TooManyPrograms):
            self._dropped += 1
        if self._entries and self._entries[0] is entry:
            self._entries.popleft()
        return entry if was_news else None


async def _settle(table: ProcessTable, entry: Settled, *, remembered: bool) -> bool:
    if entry.ref is not None and await _settle_as(table, entry, entry.ref):
        return True
    if entry.ref is not None and not remembered:
        return False
    admission = await table.arrive(entry.arrival)
    return await _settle_as(table, entry, admission.ref)


async def _settle_as(table: ProcessTable, entry: Settled, ref: CallRef) -> bool:
    if entry.engine is not None:
        await table.dispatch(ref, entry.engine, home=entry.home)
    verb = table.complete if entry.completed else table.abort
    return await verb(ref, entry.measured)
