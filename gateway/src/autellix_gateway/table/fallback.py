"""Serving on while the shared table is away.

:class:`FallbackTable` stands before a primary table and a local one in memory. While the primary answers, the local
table repeats what this gateway's calls did there, with the numbers that the primary gave. Once the primary raised
:class:`TableAway`, that verb and all later ones are answered from the local table without trying the primary, so no
call waits for it more than once an outage. :meth:`FallbackTable.probe` tries it, reconciles, and switches back.

What stays true:

* A caller's reference is good throughout. The primary's fences are positive, local ones negative, and the reference
  that a call has on the primary is kept beside its caller's.
* A call that ended while the primary was away is in the journal; one under way is registered on the primary before
  the primary is used again. Both go through ``arrive`` and ``complete``, which happen once a call however often they
  are sent, so a verb that failed may as well have been done.
* A primary that goes on without the last seconds of what it was told is told them again (:mod:`told`), whether or not
  it was noticed to be away.
* Between the last look at an empty journal and the switch back nothing is awaited, so nothing falls in the gap.

What is lost: journal entries beyond its bound, and calls whose session another gateway ended meanwhile (both counted);
what a call cost after another gateway swept it; and which replayed calls ran side by side: they are replayed one after
another, so a critical path may come out longer than it was. A primary that comes back empty starts every program at
zero; this gateway's calls are registered there again, with those of the last seconds. Meanwhile a gateway knows the
programs whose calls it served, no others.
"""

import asyncio
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table.journal import Journal, Settled, Started
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import (
    Admission,
    Arrival,
    CallRef,
    Limits,
    ProcessTable,
    Progress,
    Published,
    SessionEnded,
    Swept,
    TableAway,
)
from autellix_gateway.table.told import Ended, Told

__all__ = ["FallbackTable", "Reconciled"]

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What a probe told the primary."""

    entries: int
    """Calls that ended, and sessions that were opened, while it was away; and those that it knew once and lost."""
    dropped: int
    """Entries that could not be told: see the module's text."""


@dataclass(slots=True)
class _UnderWay:
    """A call of this gateway: its caller's reference, and what it is known by on the primary."""

    arrival: Arrival
    ref: CallRef
    there: CallRef | None
    """None until it is registered there. A fence of 0: the primary settled it, which it may do but once."""
    is_current: bool
    """Whether the primary has been told of the call and its engine."""


class FallbackTable:
    """``primary``, and a table in memory for as long as it is away. ``clock`` gives seconds since the epoch."""

    def __init__(
        self,
        primary: ProcessTable,
        limits: Limits,
        *,
        clock: Callable[[], float] = time.time,
        journal_at_most: int = 10_000,
    ) -> None:
        self._primary = primary
        self._clock = clock
        # A call settled so long ago is still remembered, also if it was swept a lease after its gateway fell silent.
        self._remembered_s = limits.remember_s - limits.lease_s
        self._local = MemoryTable(limits, clock, fences=itertools.count(-1, -1))
        self._calls: dict[CallId, _UnderWay] = {}
        self._journal = Journal(journal_at_most)
        self._ended: set[ProgramId] = set()
        self._told = Told(journal_at_most, clock, remembered_s=self._remembered_s)
        self._heard_at = clock()
        self._degraded = False

    @property
    def degraded(self) -> bool:
        """Whether verbs are answered without the primary."""
        return self._degraded

    async def probe(self) -> Reconciled | None:
        """Try a primary that was away, and find out what one that was not has lost; to be called every few seconds.
        None if there was nothing to do, or it is still away; otherwise it is in use, and knows everything."""
        was_away = self._degraded
        try:
            if was_away:
                await self._primary.ping()
            await self._note_lost(even_new=was_away)
            if not (self._degraded or self._journal or self._ended):
                return None
            entries = await self._reconcile()
        except TableAway as away:
            self._leave(away)
            return None
        self._degraded = False  # no await since the last look at the journal
        self._heard_at = self._clock()
        reconciled = Reconciled(entries=entries, dropped=self._journal.take_dropped())
        about = "is in use again" if was_away else "has caught up"
        _LOG.warning(
            "the shared process table %(about)s: told %(entries)d, dropped %(dropped)d",
            {"about": about, **asdict(reconciled)},
        )
        return reconciled

    async def start_session(self, program: ProgramId, *, tenant: str, model: str, mirror: bool = False) -> Program:
        try:
            row = await self._ask(
                lambda: self._primary.start_session(program, tenant=tenant, model=model, mirror=mirror)
            )
        except TableAway:
            row = await self._local.start_session(program, tenant=tenant, model=model, mirror=mirror)
            self._journal.note(Started(program, tenant, model, mirror))
        else:
            self._told.note(Started(program, tenant, model, mirror))
            here = self._local.known(program)
            self._local.adopt(replace(row, threads=MappingProxyType({}) if here is None else here.threads))
        return row

    async def arrive(self, arrival: Arrival) -> Admission:
        try:
            admission = await self._ask(lambda: self._primary.arrive(arrival))
        except TableAway:
            admission = await self._local.arrive(arrival)
            if admission.ref.fence and arrival.call not in self._calls:
                self._calls[arrival.call] = _UnderWay(arrival, admission.ref, there=None, is_current=False)
            return admission
        known = self._calls.get(arrival.call)
        if known is not None:
            known.there = admission.ref
            return replace(admission, ref=known.ref)
        if admission.ref.fence:
            # One that the primary registered while another verb found it away is told again when it is back.
            self._calls[arrival.call] = _UnderWay(arrival, admission.ref, admission.ref, is_current=not self._degraded)
            self._local.repeat(arrival, admission)
        return admission

    async def dispatch(self, ref: CallRef, engine: EngineId, *, home: bool) -> None:
        await self._local.dispatch(ref, engine, home=home)
        there = self._there(ref)
        try:
            if there is not None:
                await self._ask(lambda: self._primary.dispatch(there, engine, home=home))
        except TableAway:
            if (call := self._calls.get(ref.call)) is not None:
                call.is_current = False

    async def renew(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
        over = await self._local.renew(calls)
        try:
            return await self._ask(lambda: self._renew_there(calls))
        except TableAway:
            return over

    async def complete(self, ref: CallRef, measured: Measured) -> bool:
        return await self._settle(ref, measured, completed=True)

    async def abort(self, ref: CallRef, measured: Measured) -> bool:
        return await self._settle(ref, measured, completed=False)

    async def end_session(self, program: ProgramId) -> Program | None:
        row = await self._local.end_session(program)
        try:
            ended = await self._ask(lambda: self._primary.end_session(program))
        except TableAway:
            self._ended.add(program)
            return row
        self._told.note(Ended(program))
        return ended

    async def sweep(self) -> Swept:
        here = await self._local.sweep()
        for call in [call for call in self._calls if self._local.under_way(call) is None]:
            del self._calls[call]
        try:
            return await self._ask(self._primary.sweep)
        except TableAway:
            return here

    async def unsettled(self, calls: Sequence[CallId]) -> Sequence[CallId]:
        try:
            return await self._ask(lambda: self._primary.unsettled(calls))
        except TableAway:
            return await self._local.unsettled(calls)

    async def program(self, program: ProgramId) -> Program | None:
        try:
            return await self._ask(lambda: self._primary.program(program))
        except TableAway:
            return await self._local.program(program)

    async def programs(
        self, *, tenant: str | None = None, active_since: float | None = None, limit: int = 1000
    ) -> Sequence[Program]:
        def read(table: ProcessTable) -> Awaitable[Sequence[Program]]:
            return table.programs(tenant=tenant, active_since=active_since, limit=limit)

        try:
            return await self._ask(lambda: read(self._primary))
        except TableAway:
            return await read(self._local)

    async def publish(self, gateway: str, row: bytes, *, ttl_s: float) -> None:
        """The local table has it as well, so that this gateway is not missing in what it says without the primary."""
        await self._local.publish(gateway, row, ttl_s=ttl_s)
        with suppress(TableAway):
            await self._ask(lambda: self._primary.publish(gateway, row, ttl_s=ttl_s))

    async def published(self) -> Published:
        try:
            return await self._ask(self._primary.published)
        except TableAway:
            return await self._local.published()

    async def ping(self) -> None:
        """Raises :class:`TableAway` while degraded, without trying the primary: that is what ``probe`` does."""
        await self._ask(self._primary.ping)

    async def close(self) -> None:
        await self._primary.close()

    async def _ask(self, verb: Callable[[], Awaitable[_T]]) -> _T:
        """The primary's answer; :class:`TableAway` at once while it is known to be away."""
        if self._degraded:
            raise TableAway("The shared process table is away; calls are served by what this gateway knows itself.")
        try:
            answer = await verb()
        except TableAway as away:
            self._leave(away)
            raise
        self._heard_at = self._clock()
        return answer

    def _leave(self, away: TableAway) -> None:
        if not self._degraded:
            _LOG.warning("serving without the shared process table: %s", away)
        self._degraded = True
        self._doubt_calls()

    def _doubt_calls(self) -> None:
        for call in self._calls.values():
            call.is_current = False

    def _there(self, ref: CallRef) -> CallRef | None:
        """What a call is known by on the primary; a caller may hold a reference longer than the call is known here."""
        call = self._calls.get(ref.call)
        if call is not None:
            return call.there
        return ref if ref.fence >= 0 else None

    async def _settle(self, ref: CallRef, measured: Measured, *, completed: bool) -> bool:
        there, call = self._there(ref), self._calls.pop(ref.call, None)
        thread, row = self._local.under_way(ref.call), self._local.known(ref.program)
        settled = await (self._local.complete if completed else self._local.abort)(ref, measured)

        def note(kept: Journal | Told) -> None:
            if call is not None and (there is None or there.fence):
                engine = thread.engine if thread else None
                home = row is not None and engine is not None and row.home == engine
                kept.note(Settled(call.arrival, there, engine, home, measured, completed))

        if there is None and not self._degraded:
            return settled  # its session was ended elsewhere while it ran here: the primary cannot take it
        try:
            verb = self._primary.complete if completed else self._primary.abort
            answer = await self._ask(lambda: verb(there or ref, measured))
        except TableAway:
            note(self._journal)
            return settled
        except asyncio.CancelledError:
            note(self._journal)  # it may or may not have been done: probe settles that
            raise
        note(self._told)
        return answer

    async def _renew_there(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
        """Renew on the primary; returns the callers' references of calls to wind up.

        A call that the primary has no memory of, though it was heard of a moment ago, was lost with its data and is
        registered again. One that it settled while it could not be renewed goes on unwatched.
        """
        remembered = self._is_remembered()
        asked = [(call, self._there(call.ref)) for call in calls]
        renewable = [replace(call, ref=there) for call, there in asked if there is not None and there.fence]
        over = {ref.call for ref in await self._primary.renew(renewable)}
        to_wind_up = []
        for call, there in asked:
            known = self._calls.get(call.ref.call)
            if there is None or (call.ref.call in over and not (known and remembered and await self._goes_on(known))):
                to_wind_up.append(call.ref)
        return to_wind_up

    def _is_remembered(self) -> bool:
        """Whether the primary still remembers each call that was settled since it was last heard of."""
        return self._clock() - self._heard_at < self._remembered_s

    async def _note_lost(self, *, even_new: bool) -> None:
        """Have what the primary was told and has lost told again. Raises :class:`TableAway`."""
        lost = await self._told.lost(self._primary, even_new=even_new)
        self._ended.update(entry.program for entry in lost if isinstance(entry, Ended))
        self._journal.note_earlier([entry for entry in lost if not isinstance(entry, Ended)])
        if lost:
            self._doubt_calls()

    async def _reconcile(self) -> int:
        """Tell the primary everything; returns how many journal entries. Raises :class:`TableAway`."""
        remembered, entries = self._is_remembered(), 0
        while True:
            if self._journal:
                if (news := await self._journal.replay_one(self._primary, remembered=remembered)) is not None:
                    self._told.note(news)
                entries += 1
            elif (call := next((call for call in self._calls.values() if not call.is_current), None)) is not None:
                await self._restore(call, remembered=remembered)
            elif self._ended:
                program = next(iter(self._ended))
                await self._primary.end_session(program)
                self._ended.discard(program)
                self._told.note(Ended(program))
            else:
                return entries

    async def _restore(self, call: _UnderWay, *, remembered: bool) -> None:
        """Renew or register on the primary a call that is under way, and tell its engine."""
        call.is_current = True  # a dispatch that comes meanwhile says otherwise
        try:
            if call.there is None:
                await self._register(call)
            elif call.there.fence:
                thread = self._local.under_way(call.ref.call)
                so_far = Progress(call.there, thread.wait_s, thread.service_s) if thread else Progress(call.there)
                over = await self._primary.renew([so_far])
                if over and remembered:
                    await self._register(call)
                elif over and call.ref.call not in await self._threads(call.there.program):
                    call.there = replace(call.there, fence=0)
                else:
                    await self._tell_engine(call)
        except TableAway:
            call.is_current = False
            raise

    async def _register(self, call: _UnderWay) -> None:
        """Register a call on the primary, or find out that it is known there."""
        try:
            call.there = (await self._primary.arrive(call.arrival)).ref
        except SessionEnded:
            self._journal.drop()
            call.there = None
        await self._tell_engine(call)

    async def _tell_engine(self, call: _UnderWay) -> None:
        thread, row = self._local.under_way(call.ref.call), self._local.known(call.ref.program)
        if call.there is not None and thread is not None and thread.engine is not None:
            home = row is not None and row.home == thread.engine
            await self._primary.dispatch(call.there, thread.engine, home=home)

    async def _goes_on(self, call: _UnderWay) -> bool:
        """Whether a call that the primary would have wound up was merely lost with its data: then it is registered."""
        await self._register(call)
        return call.there is not None and call.ref.call in await self._threads(call.there.program, unless_ended=True)

    async def _threads(self, program: ProgramId, *, unless_ended: bool = False) -> Collection[CallId]:
        row = await self._primary.program(program)
        return () if row is None or (unless_ended and row.ended_at is not None) else row.threads
