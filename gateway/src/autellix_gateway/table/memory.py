"""The process table in one process, made of the core's transitions alone.

It is what :mod:`redis` must agree with, the table of unit tests, and what :mod:`fallback` serves from while Redis is
away. Every count and index is derived from the rows in one place, so none can drift from them.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from autellix_core import program as transitions
from autellix_core.program import Call, CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table import refusals
from autellix_gateway.table.protocol import Admission, Arrival, CallRef, Limits, Progress, Published, Swept

__all__ = ["FORGET_AT_SETTLING", "MemoryTable"]

FORGET_AT_SETTLING = 16
"""Each settling forgets at most so many calls settled long ago, so that they cannot pile up between sweeps."""


class MemoryTable:
    """The process table of one process. ``clock`` gives seconds since the epoch, ``fences`` the calls' fences."""

    def __init__(self, limits: Limits, clock: Callable[[], float], *, fences: Iterator[int] | None = None) -> None:
        self._limits = limits
        self._clock = clock
        self._fences = itertools.count(1) if fences is None else fences
        self._rows: dict[ProgramId, Program] = {}
        self._calls: dict[CallId, ProgramId] = {}
        self._settled: dict[CallId, float] = {}
        self._engines: Counter[EngineId] = Counter()
        self._tenants: Counter[str] = Counter()
        self._changed: dict[ProgramId, float] = {}
        self._gateways: dict[str, tuple[float, bytes]] = {}

    @property
    def engine_calls(self) -> Mapping[EngineId, int]:
        """How many calls each engine holds."""
        return MappingProxyType(dict(self._engines))

    def under_way(self, call: CallId) -> Call | None:
        """The thread of a call, if it is one."""
        program = self._calls.get(call)
        return None if program is None else self._rows[program].threads[call]

    def known(self, program: ProgramId) -> Program | None:
        """One row, without waiting."""
        return self._rows.get(program)

    def adopt(self, row: Program) -> None:
        """Take over a row, with its threads, as another table has it."""
        self._put(row)

    def repeat(self, arrival: Arrival, admission: Admission) -> None:
        """Register a call as another table did, and take over its numbers of the program."""
        now, ref = self._clock(), admission.ref
        row = self._rows.get(ref.program) or Program(
            id=ref.program,
            tenant=arrival.tenant,
            model=arrival.model,
            created_at=now,
            single_call=arrival.single_call or admission.over_limit,
        )
        row = replace(
            row,
            critical_path_s=admission.inherited_s,
            service_s=admission.service_s,
            wait_s=admission.wait_s,
            home=admission.home,
            ended_at=None,
        )
        row, _ = transitions.arrive(row, ref.call, fence=ref.fence, now=now, lease_s=self._limits.lease_s)
        self._put(row)

    async def start_session(self, program: ProgramId, *, tenant: str, model: str, mirror: bool = False) -> Program:
        row = self._rows.get(program)
        if row is not None:
            if row.ended_at is not None:
                raise refusals.session_ended(program)
            return row
        if self._tenants[tenant] >= self._limits.programs_per_tenant:
            raise refusals.too_many_programs(tenant, self._limits)
        return self._put(Program(id=program, tenant=tenant, model=model, created_at=self._clock(), mirror=mirror))

    async def arrive(self, arrival: Arrival) -> Admission:
        call = arrival.call
        # First the call's own identity: one that is known is not registered again, whatever became of its program.
        if call in self._calls:
            row = self._rows[self._calls[call]]
            return self._admission(row, row.threads[call], arrival)
        if call in self._settled:
            return self._admission(self._rows.get(arrival.program), None, arrival)
        row = self._row_for(arrival)
        row, thread = transitions.arrive(
            row, call, fence=next(self._fences), now=self._clock(), lease_s=self._limits.lease_s
        )
        return self._admission(self._put(row), thread, arrival)

    async def dispatch(self, ref: CallRef, engine: EngineId, *, home: bool) -> None:
        row = self._rows.get(ref.program)
        if row is not None:
            self._put(transitions.dispatch(row, ref.call, fence=ref.fence, engine=engine, home=home))

    async def renew(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
        lease_until = self._clock() + self._limits.lease_s
        over: list[CallRef] = []
        for call in calls:
            ref, row = call.ref, self._find(call.ref)
            if row is None or row.ended_at is not None:
                over.append(ref)
            if row is not None:
                self._put(
                    transitions.renew(
                        row,
                        ref.call,
                        fence=ref.fence,
                        lease_until=lease_until,
                        wait_s=call.wait_s,
                        service_s=call.service_s,
                    )
                )
        return tuple(over)

    async def complete(self, ref: CallRef, measured: Measured) -> bool:
        return self._settle(ref, measured, completed=True)

    async def abort(self, ref: CallRef, measured: Measured) -> bool:
        return self._settle(ref, measured, completed=False)

    async def unsettled(self, calls: Sequence[CallId]) -> Sequence[CallId]:
        return tuple(call for call in calls if call not in self._settled)

    async def end_session(self, program: ProgramId) -> Program | None:
        row = self._rows.get(program)
        return None if row is None else self._put(transitions.end(row, now=self._clock()))

    async def sweep(self) -> Swept:
        now = self._clock()
        lapsed = [call for row in self._rows.values() for call in row.threads.values() if call.lease_until <= now]
        for call in sorted(lapsed, key=lambda call: (call.lease_until, call.id)):
            row, _ = transitions.sweep(self._rows[self._calls[call.id]], call.id, fence=call.fence, now=now)
            self._after_settling(row, call.id)
        expired = 0
        due = [row for row in self._rows.values() if not row.threads and self._due_at(row) <= now]
        for row in due:
            if row.ended_at is not None or row.expired_at is not None:
                self._drop(row)
            else:
                self._put(transitions.expire(row, now=now))
                expired += 1
        self._forget_settled(len(self._settled))
        return Swept(calls=len(lapsed), programs=expired)

    async def program(self, program: ProgramId) -> Program | None:
        return self._rows.get(program)

    async def programs(
        self, *, tenant: str | None = None, active_since: float | None = None, limit: int = 1000
    ) -> Sequence[Program]:
        since = -math.inf if active_since is None else active_since
        latest = sorted(((at, program) for program, at in self._changed.items() if at >= since), reverse=True)
        rows = (self._rows[program] for _, program in latest)
        return tuple(itertools.islice((row for row in rows if tenant is None or row.tenant == tenant), limit))

    async def publish(self, gateway: str, row: bytes, *, ttl_s: float) -> None:
        now = self._clock()
        self._gateways[gateway] = (now + ttl_s, row)
        self._gateways = {name: kept for name, kept in self._gateways.items() if kept[0] > now}

    async def published(self) -> Published:
        now = self._clock()
        rows = {gateway: row for gateway, (until, row) in self._gateways.items() if until > now}
        return Published(now, MappingProxyType(rows), self.engine_calls)

    async def ping(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _row_for(self, arrival: Arrival) -> Program:
        """The row a new call joins: its program's, or one of its own where the tenant has no place left."""
        asked, single_call = arrival.program, arrival.single_call
        row = self._rows.get(asked)
        if row is not None and row.ended_at is not None:
            raise refusals.session_ended(asked)
        takes_a_place = not single_call if row is None else row.expired_at is not None
        tenant = arrival.tenant if row is None else row.tenant
        if takes_a_place and self._tenants[tenant] >= self._limits.programs_per_tenant:
            asked, single_call = ProgramId(arrival.call), True
            row = self._rows.get(asked)
            if row is not None and row.ended_at is not None:
                raise refusals.session_ended(asked)
        if row is not None:
            return row
        return Program(
            id=asked,
            tenant=arrival.tenant,
            model=arrival.model,
            created_at=self._clock(),
            single_call=single_call,
        )

    def _admission(self, row: Program | None, thread: Call | None, arrival: Arrival) -> Admission:
        """``thread`` None: the call was settled before, and the fence 0 settles nothing."""
        inherited_s = thread.inherited_s if thread else row.critical_path_s if row else 0.0
        return Admission(
            ref=CallRef(row.id if row else arrival.program, arrival.call, thread.fence if thread else 0),
            inherited_s=inherited_s,
            service_s=row.service_s if row else 0.0,
            wait_s=row.wait_s if row else 0.0,
            home=row.home if row else None,
            engine_calls=self.engine_calls,
            over_limit=bool(thread and row and row.single_call and not arrival.single_call),
        )

    def _find(self, ref: CallRef) -> Program | None:
        row = self._rows.get(ref.program)
        thread = None if row is None else row.threads.get(ref.call)
        return row if thread is not None and thread.fence == ref.fence else None

    def _settle(self, ref: CallRef, measured: Measured, *, completed: bool) -> bool:
        row = self._rows.get(ref.program)
        if row is None:
            return False
        row, settled = transitions.settle(
            row, ref.call, measured, fence=ref.fence, now=self._clock(), completed=completed
        )
        if settled:
            self._after_settling(row, ref.call)
        return settled

    def _after_settling(self, row: Program, call: CallId) -> None:
        self._put(row)
        if row.single_call and not row.threads:
            self._drop(row)
        self._settled[call] = self._clock()
        self._forget_settled(FORGET_AT_SETTLING)

    def _forget_settled(self, at_most: int) -> None:
        # Insertion order is time order: an id is never settled twice while it is remembered.
        until = self._clock() - self._limits.remember_s
        old = itertools.takewhile(lambda item: item[1] <= until, self._settled.items())
        for call, _ in list(itertools.islice(old, at_most)):
            del self._settled[call]

    def _due_at(self, row: Program) -> float:
        """When the sweep has to forget an ended or expired program, or expire an idle one."""
        closed_at = row.expired_at if row.ended_at is None else row.ended_at
        if closed_at is not None:
            return closed_at + self._limits.remember_s
        return row.last_activity_at + self._limits.session_ttl_s

    def _put(self, row: Program) -> Program:
        before = self._rows.get(row.id)
        if row is before:
            return row
        self._count(before, -1)
        self._rows[row.id] = row
        self._changed[row.id] = self._clock()
        self._count(row, 1)
        return row

    def _drop(self, row: Program) -> None:
        del self._changed[row.id]
        self._count(self._rows.pop(row.id), -1)

    def _count(self, row: Program | None, by: int) -> None:
        if row is None:
            return
        if not row.single_call and row.ended_at is None and row.expired_at is None:
            _add(self._tenants, row.tenant, by)
        for call in row.threads.values():
            if call.engine is not None:
                _add(self._engines, call.engine, by)
            if by > 0:
                self._calls[call.id] = row.id
            else:
                del self._calls[call.id]


def _add(counts: Counter[Any], key: str, by: int) -> None:
    counts[key] += by
    if counts[key] == 0:
        del counts[key]
