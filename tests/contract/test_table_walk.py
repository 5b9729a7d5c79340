"""The table in memory, made of the core's transitions, and the Redis scripts take the same random walk.

After every step both returned the same and hold the same, to the last bit.
"""

import asyncio
import math
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis.asyncio import Redis

from autellix_core.errors import AutellixError
from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table import records
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import Arrival, CallRef, Limits, ProcessTable, Progress
from autellix_gateway.table.redis import RedisTable
from redis_server import RedisServer
from table_clock import TableClock

LIMITS = Limits(session_ttl_s=15.0, remember_s=50.0, lease_s=10.0, programs_per_tenant=2)
POOL = "walk"
KEY = f"autellix:{{{POOL}}}:"

PROGRAMS = st.sampled_from([ProgramId(name) for name in ("1", "p", "q", "program {ä}", "r")])
TENANTS = st.sampled_from(["ann", "bob"])
ENGINES = st.sampled_from([EngineId(name) for name in ("http://e0:8000", "e1", "2")])
SECONDS = st.one_of(st.just(0.0), st.integers(0, 30).map(float), st.floats(0, 1e7, allow_subnormal=False))
TOKENS = st.integers(0, 10**9)
COSTS = st.builds(Measured, service_s=SECONDS, wait_s=SECONDS, prompt_tokens=TOKENS, output_tokens=TOKENS)
PLACES = st.integers(0, 30)


class Walk(RuleBasedStateMachine):
    """``url`` is set by the test."""

    url = ""

    @initialize()
    def start(self) -> None:
        self.runner = asyncio.Runner()
        self.clock = TableClock()
        self.client = Redis.from_url(self.url)
        self.memory = MemoryTable(LIMITS, self.clock)
        self.redis = RedisTable(self.client, POOL, LIMITS, clock=self.clock, sweep_at_most=2)
        self.refs: list[CallRef] = []
        self.settled: set[CallRef] = set()
        self.service: dict[tuple[ProgramId, float], float] = defaultdict(float)
        self.runner.run(_outcome(self.client.flushall()))

    def teardown(self) -> None:
        if hasattr(self, "runner"):
            self.runner.run(self.redis.close())
            self.runner.close()

    def both(self, verb: Callable[[ProcessTable], Awaitable[Any]]) -> Any:
        """What both tables answered, which is the same."""
        first, second = (self.runner.run(_outcome(verb(table))) for table in (self.memory, self.redis))
        assert first == second
        return first

    def under_way(self, place: int) -> CallRef:
        """One of the calls under way, else one that never arrived."""
        rows = self.memory._rows.values()
        refs = [CallRef(row.id, call.id, call.fence) for row in rows for call in row.threads.values()]
        return refs[place % len(refs)] if refs else CallRef(ProgramId("p"), CallId("never"), 1)

    def once(self, place: int) -> CallRef:
        """One of the calls that ever arrived, the latest first."""
        return self.refs[-1 - place % len(self.refs)] if self.refs else self.under_way(place)

    @rule(program=PROGRAMS, tenant=TENANTS, mirror=st.booleans())
    def start_session(self, program: ProgramId, tenant: str, mirror: bool) -> None:
        self.both(lambda table: table.start_session(program, tenant=tenant, model="m", mirror=mirror))

    @rule(program=PROGRAMS, tenant=TENANTS, single_call=st.sampled_from([False, False, True]))
    def arrive(self, program: ProgramId, tenant: str, single_call: bool) -> None:
        call = CallId(f"c{len(self.refs)}")
        asked = ProgramId(call) if single_call else program
        self._arrive(Arrival(asked, call, tenant, "m", single_call))

    @rule(program=PROGRAMS, tenant=TENANTS)
    def arrive_in_parallel(self, program: ProgramId, tenant: str) -> None:
        for sibling in range(2):
            self._arrive(Arrival(program, CallId(f"s{len(self.refs)}.{sibling}"), tenant, "m"))

    @rule(place=PLACES, program=PROGRAMS, tenant=TENANTS, is_same=st.booleans())
    def arrive_again(self, place: int, program: ProgramId, tenant: str, is_same: bool) -> None:
        ref = self.once(place)
        self._arrive(Arrival(ref.program if is_same else program, ref.call, tenant, "m"))

    def _arrive(self, arrival: Arrival) -> None:
        admission = self.both(lambda table: table.arrive(arrival))
        if not isinstance(admission, tuple):
            self.refs.append(admission.ref)

    @rule(place=PLACES, engine=ENGINES, home=st.booleans())
    def dispatch(self, place: int, engine: EngineId, home: bool) -> None:
        self.both(lambda table: table.dispatch(self.under_way(place), engine, home=home))

    @rule(of=st.lists(st.tuples(PLACES, SECONDS, SECONDS, st.booleans()), max_size=4))
    def renew(self, of: list[tuple[int, float, float, bool]]) -> None:
        asked = [
            Progress((self.under_way if is_live else self.once)(place), wait_s, service_s)
            for place, wait_s, service_s, is_live in of
        ]
        self.both(lambda table: table.renew(asked))

    @rule(places=st.lists(PLACES, max_size=4))
    def ask_for_settled(self, places: list[int]) -> None:
        self.both(lambda table: table.unsettled([self.once(place).call for place in places]))

    @rule(place=PLACES, cost=COSTS)
    def complete(self, place: int, cost: Measured) -> None:
        self._settle(self.under_way(place), cost, completed=True)

    @rule(place=PLACES, cost=COSTS)
    def abort(self, place: int, cost: Measured) -> None:
        self._settle(self.under_way(place), cost, completed=False)

    @rule(place=PLACES, cost=COSTS, completed=st.booleans())
    def settle_again(self, place: int, cost: Measured, completed: bool) -> None:
        self._settle(self.once(place), cost, completed=completed)

    def _settle(self, ref: CallRef, cost: Measured, *, completed: bool) -> None:
        row = self.memory.known(ref.program)
        if self.both(lambda table: (table.complete if completed else table.abort)(ref, cost)):
            assert ref not in self.settled, "a call settled twice"
            assert row is not None
            self.settled.add(ref)
            self.service[row.id, row.created_at] += cost.service_s

    @rule(place=PLACES, off=st.sampled_from([-1, 1]), engine=ENGINES)
    def mistake_the_fence(self, place: int, off: int, engine: EngineId) -> None:
        ref = self.under_way(place)
        strange = replace(ref, fence=ref.fence + off)
        self.both(lambda table: table.dispatch(strange, engine, home=True))
        assert self.both(lambda table: table.complete(strange, Measured(service_s=1.0))) is False

    @rule(program=PROGRAMS)
    def end_session(self, program: ProgramId) -> None:
        self.both(lambda table: table.end_session(program))

    @rule(after=st.sampled_from([0.0, 0.1, 9.9, 10.0, 10.1, 49.9, 50.0, 100.0, 1 / 3]))
    def sweep(self, after: float) -> None:
        self.clock.pass_(after)
        for row in self.runner.run(self.memory.programs()):
            for call in row.threads.values():
                if call.lease_until <= self.clock():
                    self.service[row.id, row.created_at] += call.service_s
        self.both(lambda table: table.sweep())

    @rule(after=st.floats(0, 12))
    def wait(self, after: float) -> None:
        self.clock.pass_(after)

    @rule(
        program=PROGRAMS,
        tenant=st.one_of(st.none(), TENANTS),
        ago=st.sampled_from([None, 0.0, 0.1, 10.0]),
        limit=st.integers(1, 4),
    )
    def read(self, program: ProgramId, tenant: str | None, ago: float | None, limit: int) -> None:
        since = None if ago is None else self.clock() - ago
        self.both(lambda table: table.programs(tenant=tenant, active_since=since, limit=limit))
        self.both(lambda table: table.program(program))

    @rule(gateway=st.sampled_from(["1", "g", "gateway {ä}"]), row=st.binary(max_size=40), ttl_s=st.floats(0, 20))
    def publish(self, gateway: str, row: bytes, ttl_s: float) -> None:
        self.both(lambda table: table.publish(gateway, row, ttl_s=ttl_s))
        self.both(lambda table: table.published())

    @rule()
    def published(self) -> None:
        self.both(lambda table: table.published())

    @invariant()
    def both_hold_the_same(self) -> None:
        if hasattr(self, "runner"):
            assert self.runner.run(_state_of_redis(self.client)) == _state_of_memory(self.memory)

    @invariant()
    def the_numbers_add_up(self) -> None:
        if not hasattr(self, "runner"):
            return
        rows = self.runner.run(self.memory.programs())
        threads = [call for row in rows for call in row.threads.values()]
        assert self.memory.engine_calls == Counter(call.engine for call in threads if call.engine is not None)
        open_programs = Counter(row.tenant for row in rows if _is_open(row))
        assert all(count <= LIMITS.programs_per_tenant for count in open_programs.values())
        for row in rows:
            assert math.isclose(row.service_s, self.service[row.id, row.created_at], rel_tol=1e-9)
            assert row.critical_path_s <= row.service_s * (1 + 1e-9)


def _is_open(row: Program) -> bool:
    return not row.single_call and row.ended_at is None and row.expired_at is None


async def _outcome(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except AutellixError as refusal:
        return type(refusal), str(refusal)


def _state_of_memory(table: MemoryTable) -> dict[str, Any]:
    rows = table._rows
    return {
        "programs": rows,
        "calls": {call: row.id for row in rows.values() for call in row.threads},
        "leases": {call.id: call.lease_until for row in rows.values() for call in row.threads.values()},
        "settled": table._settled,
        "due": {row.id: table._due_at(row) for row in rows.values() if not row.threads},
        "activity": table._changed,
        "engines": dict(table.engine_calls),
        "tenants": dict(Counter(row.tenant for row in rows.values() if _is_open(row))),
        "gateways": {gateway: until for gateway, (until, _) in table._gateways.items()},
        "said": {gateway: row for gateway, (_, row) in table._gateways.items()},
    }


async def _state_of_redis(client: Any) -> dict[str, Any]:
    async def hashed(name: str) -> dict[str, bytes]:
        return {field.decode(): value for field, value in (await client.hgetall(KEY + name)).items()}

    async def sorted_(name: str) -> dict[str, float]:
        return {member.decode(): score for member, score in await client.zrange(KEY + name, 0, -1, withscores=True)}

    return {
        "programs": {id_: records.program(records.unpack(row)) for id_, row in (await hashed("programs")).items()},
        "calls": {call: program.decode() for call, program in (await hashed("calls")).items()},
        "leases": await sorted_("leases"),
        "settled": await sorted_("settled"),
        "due": await sorted_("due"),
        "activity": await sorted_("activity"),
        "engines": {engine: int(count) for engine, count in (await hashed("engines")).items()},
        "tenants": {tenant: int(count) for tenant, count in (await hashed("tenants")).items()},
        "gateways": await sorted_("gateways"),
        "said": await hashed("said"),
    }


@pytest.mark.timeout(300)
def test_memory_and_redis_take_the_same_walk(server: RedisServer) -> None:
    Walk.url = server.url
    bounded = settings(
        max_examples=110,
        stateful_step_count=80,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Walk, settings=bounded)
