"""What gateways publish adds up to the demand on every pool, the same whichever gateway is asked."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from autellix_core.pools import PoolJSON
from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.demand.gauges import PoolGauges
from autellix_gateway.demand.pools import Demand, Pools
from autellix_gateway.demand.publishing import Publisher
from autellix_gateway.demand.rows import EngineRow, GatewayRow
from autellix_gateway.demand.sums import known, pool_of
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import Arrival, Limits, Progress, Published
from autellix_gateway.waits import RecentWaits
from table_clock import TableClock

LIMITS = Limits(session_ttl_s=10_000.0)
A, B, C = EngineId("a-0"), EngineId("b-0"), EngineId("b-1")
ROW = GatewayRow(
    engines=(
        EngineRow(A, "alpha", ("m",), up=True, slots=2, waited_s=3.0, waited_calls=2),
        EngineRow(B, "beta", ("n",), up=True, slots=8),
        EngineRow(C, "beta", ("n",), draining=True),
    ),
    held={"zero": (2, 4.5)},
    pools={"alpha": "m", "beta": "n", "zero": "z"},
)


@dataclass(frozen=True)
class Reached:
    """An engine that a gateway reaches."""

    id: EngineId
    up: bool = True
    models: tuple[Mapping[str, Any], ...] = ({"id": "m"},)
    pool: str = "alpha"
    draining: bool = False
    slots: int = 4


class Counted(MemoryTable):
    """Counts listings, which can be held up."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(LIMITS, clock)
        self.listed: list[dict[str, Any]] = []
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.go_on.set()

    async def programs(self, **asked: Any) -> tuple[Program, ...]:
        """The same, later."""
        self.listed.append(asked)
        self.asked.set()
        await self.go_on.wait()
        return tuple(await super().programs(**asked))


class Stage:
    """A table, and the pools as one gateway tells them."""

    def __init__(self) -> None:
        self.clock = TableClock()
        self.table = Counted(self.clock)
        self.degraded = False
        self.pools = Pools(self.table, degraded=lambda: self.degraded, returning_within_s=60.0, clock=self.clock)

    async def serve(self, program: str, engine: EngineId | None, *, model: str = "m", ends: bool = True) -> None:
        """One call of a program."""
        call = CallId(f"{program}-{self.clock()}")
        arrival = Arrival(ProgramId(program), call, "ann", model, single_call=program == "single")
        ref = (await self.table.arrive(arrival)).ref
        if engine is not None:
            await self.table.dispatch(ref, engine, home=True)
        if ends:
            await self.table.complete(ref, Measured(service_s=1.0, prompt_tokens=100, output_tokens=20))

    async def told(self) -> dict[str, PoolJSON]:
        """By pool, computed anew."""
        self.clock.pass_(1)
        return {pool["name"]: pool for pool in (await self.pools.now()).to_json()["pools"]}


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_row_reads_back_as_it_was() -> None:
    assert GatewayRow.from_bytes(ROW.to_bytes()) == ROW
    assert GatewayRow.from_bytes(GatewayRow().to_bytes()) == GatewayRow()


@pytest.mark.parametrize(
    "row",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"engines":[{"id":"a"}],"held":{},"pools":{}}',
        b'{"engines":[],"held":{"p":[1]},"pools":{}}',
        b'{"engines":[{"id":"a","pool":"p","models":[],"colour":1}],"held":{},"pools":{}}',
        b'{"engines":[],"held":[],"pools":{}}',
    ],
)
def test_a_row_of_another_version_is_none(row: bytes) -> None:
    assert GatewayRow.from_bytes(row) is None


async def test_every_pool_is_told_with_its_engines(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=60.0)
    await stage.serve("p", A)
    await stage.serve("q", A, ends=False)
    await stage.serve("r", C, model="n")

    alpha, beta, zero = (await stage.told()).values()

    assert alpha == {
        "name": "alpha",
        "model": "m",
        "held": 0,
        "longest_held_seconds": 0.0,
        "active": 1,
        "returning": 1,
        "engines": [
            {
                "id": "a-0",
                "ready": True,
                "draining": False,
                "calls": 1,
                "slots": 2,
                "wait_seconds": 1.5,
                "programs": 2,
                "cached_tokens": 120,
            }
        ],
    }
    assert [(e["id"], e["ready"], e["draining"], e["programs"]) for e in beta["engines"]] == [
        ("b-0", True, False, 0),
        ("b-1", False, True, 1),
    ]
    assert (beta["active"], beta["returning"]) == (0, 1)
    assert (zero["model"], zero["held"], zero["longest_held_seconds"], zero["engines"]) == ("z", 2, 4.5, [])


async def test_gateways_add_up(stage: Stage) -> None:
    other = GatewayRow(
        engines=(
            EngineRow(A, "alpha", ("m",), up=False, slots=2, waited_s=1.0, waited_calls=2),
            EngineRow(C, "beta", ("n",), up=True),
        ),
        held={"zero": (1, 9.0), "alpha": (1, 0.5)},
        pools=ROW.pools,
    )
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=60.0)
    await stage.table.publish("h", other.to_bytes(), ttl_s=60.0)
    await stage.table.publish("of another version", b"?", ttl_s=60.0)

    told = await stage.told()

    assert (await stage.pools.now()).gateways == 3
    assert [(pool["held"], pool["longest_held_seconds"]) for pool in told.values()] == [(1, 0.5), (0, 0.0), (3, 9.0)]
    assert told["alpha"]["engines"][0]["wait_seconds"] == 1.0
    assert told["alpha"]["engines"][0]["ready"]
    assert [engine["ready"] for engine in told["beta"]["engines"]] == [True, True]
    assert told["beta"]["engines"][1]["draining"]


async def test_a_gateway_that_says_nothing_any_more_is_left_out(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=5.0)
    assert len(await stage.told()) == 3

    stage.clock.pass_(5)

    assert await stage.told() == {}
    assert (await stage.pools.now()).gateways == 0


async def test_programs_count_where_their_next_call_goes(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=9000.0)
    await stage.serve("home is gone", EngineId("a-9"), model="n")
    await stage.serve("of a pool at zero", None, model="z", ends=False)
    await stage.serve("of nobody's model", None, model="x", ends=False)
    await stage.serve("single", A, ends=False)
    await stage.table.start_session(ProgramId("new"), tenant="ann", model="m")
    await stage.serve("ended", A)
    await stage.table.end_session(ProgramId("ended"))

    told = await stage.told()

    assert {name: (pool["active"], pool["returning"]) for name, pool in told.items()} == {
        "alpha": (1, 0),
        "beta": (0, 1),
        "zero": (1, 0),
    }


def test_an_engine_that_ran_a_call_says_more_than_a_model() -> None:
    of = known([ROW])
    program = Program(ProgramId("p"), "ann", "m", 0.0, engines=(A, EngineId("gone"), B, EngineId("gone too")))

    assert pool_of(program, of) == "beta"
    assert pool_of(replace(program, home=A), of) == "alpha"
    assert pool_of(replace(program, engines=()), of) == "alpha"
    assert pool_of(replace(program, engines=(), model=""), of) is None


async def test_programs_come_back_for_a_while_only(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=9000.0)
    await stage.serve("p", A)
    stage.clock.pass_(59)
    assert (await stage.told())["alpha"]["returning"] == 1

    alpha = (await stage.told())["alpha"]
    assert (alpha["returning"], alpha["engines"][0]["programs"]) == (0, 1)

    stage.clock.pass_(300)
    assert (await stage.told())["alpha"]["engines"][0]["programs"] == 0


async def test_a_long_call_stays_active_while_its_lease_is_renewed(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=9000.0)
    ref = (await stage.table.arrive(Arrival(ProgramId("p"), CallId("c"), "ann", "m"))).ref
    for _ in range(100):
        stage.clock.pass_(7)
        await stage.table.renew([Progress(ref)])

    assert (await stage.told())["alpha"]["active"] == 1


async def test_one_answer_is_computed_for_all_who_ask_within_a_second(stage: Stage) -> None:
    stage.table.go_on.clear()
    asking = [asyncio.create_task(stage.pools.now()) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    stage.table.go_on.set()
    answers = await asyncio.gather(*asking[1:])
    assert len({id(answer) for answer in answers}) == 1
    assert len(stage.table.listed) <= 2

    before = len(stage.table.listed)
    stage.clock.pass_(0.9)
    await stage.pools.now()
    assert len(stage.table.listed) == before
    stage.clock.pass_(0.1)
    await stage.pools.now()
    assert len(stage.table.listed) == before + 1
    assert stage.table.listed[-1] == {"active_since": stage.clock() - 300.0, "limit": 5000}


@pytest.mark.parametrize("when", ["before", "meanwhile"])
async def test_an_answer_without_the_shared_table_says_so(stage: Stage, when: str) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=60.0)
    stage.degraded = when == "before"
    stage.table.go_on.clear()
    asking = asyncio.create_task(stage.pools.now())
    await stage.table.asked.wait()
    stage.degraded = when == "meanwhile"
    stage.table.go_on.set()

    answer = await asking

    assert not answer.to_json()["shared"]
    assert _shown(answer) == {}
    stage.degraded = False
    stage.clock.pass_(1)
    assert (await stage.pools.now()).to_json()["shared"]


async def test_gauges_show_every_pool_and_forget_those_that_are_gone(stage: Stage) -> None:
    await stage.table.publish("g", ROW.to_bytes(), ttl_s=60.0)
    for number in range(5):
        await stage.serve(f"p{number}", A, ends=False)
    demand = await stage.pools.now()

    assert _shown(demand) == {
        "held_calls": {"alpha": 0, "beta": 0, "zero": 2},
        "waiting_calls": {"alpha": 3, "beta": 0, "zero": 2},
        "calls": {"alpha": 5, "beta": 0, "zero": 0},
        "active_programs": {"alpha": 5, "beta": 0, "zero": 0},
        "returning_programs": {"alpha": 0, "beta": 0, "zero": 0},
        "wait_seconds": {"alpha": 1.5, "beta": 0, "zero": 0},
        "engines_ready": {"alpha": 1, "beta": 1, "zero": 0},
    }
    assert _shown(demand, replace(demand, pools=demand.pools[1:2]))["held_calls"] == {"beta": 0}


async def test_a_gateway_says_what_it_reaches_holds_and_measured() -> None:
    table, waits = MemoryTable(LIMITS, TableClock()), RecentWaits()
    waits.observe(A, 0.5)
    waits.observe(EngineId("gone"), 7.0)
    publisher = Publisher(
        table,
        engines=lambda: [Reached(A), Reached(B, up=False, pool="beta", draining=True, slots=0)],
        held=lambda: {"zero": (1, 2.0)},
        pools=lambda: {"zero": "z"},
        waits=waits,
    )

    await publisher.publish()

    [row] = (await table.published()).rows.values()
    assert GatewayRow.from_bytes(row) == GatewayRow(
        engines=(
            EngineRow(A, "alpha", ("m",), up=True, slots=4, waited_s=0.5, waited_calls=1),
            EngineRow(B, "beta", ("m",), draining=True),
        ),
        held={"zero": (1, 2.0)},
        pools={"zero": "z"},
    )
    await publisher.leave()
    assert await table.published() == Published(TableClock()(), {}, {})


def _shown(*demands: Demand) -> dict[str, dict[str, float]]:
    """What Prometheus gets, by gauge and pool, after these answers."""
    registry = CollectorRegistry()
    gauges = PoolGauges(registry)
    for demand in demands:
        gauges.show(demand)
    assert generate_latest(registry).count(b"take max()") == 7
    found: dict[str, dict[str, float]] = {}
    for metric in registry.collect():
        for sample in metric.samples:
            found.setdefault(sample.name.removeprefix("autellix_pool_"), {})[sample.labels["pool"]] = sample.value
    return found
