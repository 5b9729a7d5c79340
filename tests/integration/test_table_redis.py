"""The process table on a real redis-server: many gateways at once, and a server that fails in each way it can."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import redis.exceptions
from redis.asyncio import Redis

from autellix_core.program import CallId, EngineId, Measured, ProgramId
from autellix_gateway.table.protocol import Arrival, CallRef, Limits, Progress, TableAway
from autellix_gateway.table.redis import RedisTable, connect
from redis_server import RedisServer, redis_server

LIMITS = Limits()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def tables(server: RedisServer) -> AsyncIterator[Callable[..., RedisTable]]:
    async with AsyncExitStack() as stack:

        def make(pool: str = "pool", timeout_s: float = 5.0) -> RedisTable:
            table = connect(server.url, pool, LIMITS, timeout_s=timeout_s)
            stack.push_async_callback(table.close)
            return table

        yield make


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Any]:
    async with Redis.from_url(server.url) as admin:
        yield admin


def arrival(call: str, program: str = "p") -> Arrival:
    return Arrival(ProgramId(program), CallId(call), "ann", "model")


async def test_many_calls_through_two_gateways_add_up(tables: Callable[..., RedisTable], client: Any) -> None:
    gateways = [tables(), tables()]
    draw = random.Random(7)
    # Seconds in eighths, so that their sum is exact in whatever order the calls settle.
    plan = [
        (f"c{number}", f"p{draw.randrange(20)}", EngineId(f"e{draw.randrange(4)}"), draw.randrange(64) / 8)
        for number in range(2000)
    ]
    most = asyncio.Semaphore(100)
    times_settled: dict[str, int] = {}

    async def serve(call: str, program: str, engine: EngineId, service_s: float) -> None:
        async with most:
            first, second = draw.sample(gateways, 2)
            admission, again = await asyncio.gather(
                first.arrive(arrival(call, program)), second.arrive(arrival(call, program))
            )
            assert admission.ref == again.ref
            await first.dispatch(admission.ref, engine, home=True)
            await first.renew([Progress(admission.ref, service_s=service_s / 2)])
            cost = Measured(service_s=service_s, wait_s=service_s / 2, prompt_tokens=3, output_tokens=1)
            settled = await asyncio.gather(
                first.complete(admission.ref, cost), second.complete(admission.ref, cost), second.sweep()
            )
            times_settled[call] = settled[:2].count(True)

    await asyncio.gather(*(serve(*call) for call in plan))

    assert set(times_settled.values()) == {1}
    rows = await gateways[0].programs()
    assert sum(row.calls for row in rows) == len(plan)
    assert sum(row.prompt_tokens for row in rows) == 3 * len(plan)
    for row in rows:
        service_s = sum(service_s for _, program, _, service_s in plan if program == row.id)
        assert (row.service_s, row.wait_s) == (service_s, service_s / 2)
        assert row.threads == {}
        assert 0 < row.critical_path_s <= row.service_s
    left = {name: await client.exists(f"autellix:{{pool}}:{name}") for name in ("engines", "leases", "calls")}
    assert left == {"engines": 0, "leases": 0, "calls": 0}


async def test_scripts_are_loaded_again_after_the_server_forgot_them(
    tables: Callable[..., RedisTable], client: Any
) -> None:
    table = tables()
    admission = await table.arrive(arrival("c"))

    await client.script_flush()

    assert await table.complete(admission.ref, Measured(service_s=1.0))


async def test_a_server_that_comes_back_empty_starts_afresh(
    server: RedisServer, tables: Callable[..., RedisTable]
) -> None:
    table = tables()
    admission = await table.arrive(arrival("c"))

    server.stop()
    with pytest.raises(TableAway, match="cannot be reached"):
        await table.arrive(arrival("d"))
    server.start()

    assert not await table.complete(admission.ref, Measured(service_s=1.0))
    assert list(await table.renew([Progress(admission.ref)])) == [admission.ref]
    assert (await table.arrive(arrival("d"))).ref.fence == 1


async def test_every_connection_gone_stale_is_opened_once_more(
    server: RedisServer, tables: Callable[..., RedisTable]
) -> None:
    table = tables()
    await asyncio.gather(*(table.ping() for _ in range(20)))

    server.restart()

    await asyncio.gather(*(table.arrive(arrival(f"c{number}")) for number in range(20)))


async def test_a_server_that_hangs_is_away(server: RedisServer, tables: Callable[..., RedisTable]) -> None:
    table = tables(timeout_s=0.1)
    await table.ping()
    server.freeze()
    try:
        with pytest.raises(TableAway):
            await table.arrive(arrival("c"))
        with pytest.raises(TableAway):
            await table.ping()
    finally:
        server.thaw()


@pytest.mark.parametrize(
    ("name", "value"),
    [("maxmemory", "1"), ("min-replicas-to-write", "1"), ("replicaof", None)],
    ids=["full", "too few replicas", "a replica"],
)
async def test_a_server_that_cannot_write_is_away(
    tables: Callable[..., RedisTable], client: Any, name: str, value: str | None
) -> None:
    table = tables()
    if value is None:
        await client.replicaof("127.0.0.1", "1")
    else:
        await client.config_set(name, value)

    with pytest.raises(TableAway):
        await table.arrive(arrival("c"))
    with pytest.raises(TableAway):
        await table.ping()


async def test_a_fault_of_ours_is_not_taken_for_an_absence(tables: Callable[..., RedisTable], client: Any) -> None:
    table = tables()
    await client.set("autellix:{pool}:programs", "not a hash")

    with pytest.raises(redis.exceptions.ResponseError, match="WRONGTYPE"):
        await table.arrive(arrival("c"))


async def test_a_password_stands_beside_the_url_as_it_is(server: RedisServer, client: Any) -> None:
    await client.config_set("requirepass", "p@ss:/word")
    knowing = connect(server.url, "pool", LIMITS, timeout_s=5.0, password="p@ss:/word")
    guessing = connect(server.url, "pool", LIMITS, timeout_s=5.0, password="word")
    try:
        assert (await knowing.arrive(arrival("c"))).ref.call == "c"
        with pytest.raises(TableAway):
            await guessing.arrive(arrival("d"))
    finally:
        await knowing.close()
        await guessing.close()


async def test_pools_share_nothing(tables: Callable[..., RedisTable]) -> None:
    one, other = tables("one"), tables("other")
    admission = await one.arrive(arrival("c"))
    await one.dispatch(admission.ref, EngineId("e"), home=True)

    assert await other.programs() == ()
    assert (await other.arrive(arrival("d"))).engine_calls == {}


async def test_the_clock_is_the_servers(tables: Callable[..., RedisTable], client: Any) -> None:
    seconds, _ = await client.time()
    table = tables()
    await table.arrive(arrival("c"))

    row = await table.program(ProgramId("p"))
    assert row is not None
    assert seconds <= row.created_at < seconds + 60
    assert row.threads[CallId("c")].lease_until == row.created_at + LIMITS.lease_s


async def test_a_sweep_runs_in_rounds_until_nothing_is_left(server: RedisServer, client: Any) -> None:
    now = 1000.0
    table = RedisTable(Redis.from_url(server.url), "pool", LIMITS, clock=lambda: now, sweep_at_most=10)
    for number in range(35):
        await table.arrive(arrival(f"c{number}", f"p{number}"))
    now += LIMITS.session_ttl_s

    swept = await table.sweep()

    assert (swept.calls, swept.programs) == (35, 35)
    now += LIMITS.remember_s
    await table.sweep()
    assert await client.keys() == [b"autellix:{pool}:fence"]
    await table.close()


async def test_a_long_listing_is_read_by_pages(tables: Callable[..., RedisTable]) -> None:
    table = tables()
    for number in range(2100):
        await table.start_session(ProgramId(f"p{number}"), tenant="ann" if number % 2 else "bob", model="model")

    assert len(await table.programs(limit=5000)) == 2100
    assert len(await table.programs(tenant="ann", limit=5000)) == 1050
    newest = await table.programs(tenant="bob", limit=1001)
    assert [row.id for row in newest] == [f"p{number}" for number in range(2098, 97, -2)]


async def test_a_reference_that_was_never_given_settles_nothing(tables: Callable[..., RedisTable]) -> None:
    table = tables()
    await table.arrive(arrival("c"))

    assert not await table.abort(CallRef(ProgramId("p"), CallId("c"), 99), Measured(service_s=1.0))
