"""Calls are served through a real redis-server that is killed, or that hangs and later does what it was asked."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from autellix_core.program import CallId, EngineId, Measured, ProgramId
from autellix_gateway.table.fallback import FallbackTable
from autellix_gateway.table.protocol import Arrival, CallRef, Limits, Progress, TableAway
from autellix_gateway.table.redis import RedisTable, connect
from redis_server import RedisServer, redis_server

LIMITS = Limits()
ENGINE = EngineId("e")


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
async def shared(server: RedisServer) -> AsyncIterator[RedisTable]:
    table = connect(server.url, "pool", LIMITS, timeout_s=0.2)
    yield table
    await table.close()


def arrival(call: str, program: str = "p") -> Arrival:
    return Arrival(ProgramId(program), CallId(call), "ann", "model")


async def until_it_is_back(table: FallbackTable) -> None:
    while table.degraded:
        await table.probe()
        await asyncio.sleep(0.01)


async def engine_calls(table: RedisTable) -> dict[EngineId, int]:
    probe = await table.arrive(Arrival(ProgramId("probe"), CallId("probe"), "ann", "model", single_call=True))
    await table.abort(probe.ref, Measured())
    return dict(probe.engine_calls)


async def test_calls_under_way_outlive_a_server_that_is_killed_and_started_again(
    server: RedisServer, shared: RedisTable
) -> None:
    table = FallbackTable(shared, LIMITS)
    before = [(await table.arrive(arrival(f"before{number}"))).ref for number in range(10)]
    for ref in before:
        await table.dispatch(ref, ENGINE, home=True)

    server.stop()
    meanwhile = [(await table.arrive(arrival(f"meanwhile{number}"))).ref for number in range(10)]
    assert table.degraded
    for ref in meanwhile:
        await table.dispatch(ref, ENGINE, home=True)
    for ref in before[:5] + meanwhile[:5]:
        assert await table.complete(ref, Measured(service_s=0.5))
    server.start()
    await until_it_is_back(table)

    assert await engine_calls(shared) == {ENGINE: 10}
    assert list(await table.renew([Progress(ref) for ref in before[5:] + meanwhile[5:]])) == []
    for ref in before[5:] + meanwhile[5:]:
        assert await table.complete(ref, Measured(service_s=0.5))
    row = await shared.program(ProgramId("p"))
    assert row is not None
    assert (row.calls, row.service_s, row.threads) == (20, 10.0, {})
    assert await engine_calls(shared) == {}


async def test_a_server_that_starts_again_without_its_last_writes_is_told_them_again(
    server: RedisServer, shared: RedisTable
) -> None:
    table = FallbackTable(shared, LIMITS)
    refs = [(await table.arrive(arrival(f"c{number}", f"p{number % 3}"))).ref for number in range(9)]
    for ref in refs:
        await table.dispatch(ref, ENGINE, home=True)
    assert await table.complete(refs[0], Measured(service_s=0.5))
    server.save()
    late = (await table.arrive(arrival("late"))).ref
    for ref in (*refs[1:6], late):
        assert await table.complete(ref, Measured(service_s=0.5))
    server.stop()
    with pytest.raises(TableAway):
        await table.ping()

    server.start()
    await until_it_is_back(table)

    rows = await shared.programs()
    assert (sum(row.calls for row in rows), sum(row.service_s for row in rows)) == (10, 3.5)
    assert sum(len(row.threads) for row in rows) == 3
    assert await engine_calls(shared) == {ENGINE: 3}
    for ref in refs[6:]:
        assert await table.complete(ref, Measured(service_s=0.5))
    assert sum(row.service_s for row in await shared.programs()) == 5.0
    assert await engine_calls(shared) == {}


async def test_totals_are_exact_through_a_server_that_hangs_and_then_does_what_it_was_asked(
    server: RedisServer, shared: RedisTable
) -> None:
    table = FallbackTable(shared, LIMITS)
    draw = random.Random(11)
    under_way: list[CallRef] = []

    async def serve(number: int) -> float:
        admission = await table.arrive(arrival(f"c{number}", f"p{number % 5}"))
        under_way.append(admission.ref)
        await table.dispatch(admission.ref, ENGINE, home=True)
        await asyncio.sleep(draw.random() / 10)
        service_s = draw.randrange(64) / 8
        await table.renew([Progress(admission.ref, service_s=service_s / 2)])
        assert await table.complete(admission.ref, Measured(service_s=service_s))
        under_way.remove(admission.ref)
        return service_s

    async def hang() -> None:
        for _ in range(2):
            await asyncio.sleep(0.05)
            server.freeze()
            with suppress(TableAway):
                while True:
                    await table.ping()
            await asyncio.sleep(0.05)
            server.thaw()
            await until_it_is_back(table)

    async def load() -> list[float]:
        most = asyncio.Semaphore(30)

        async def one(number: int) -> float:
            async with most:
                return await serve(number)

        return await asyncio.gather(*(one(number) for number in range(600)))

    served, _ = await asyncio.gather(load(), hang())
    await table.probe()

    rows = await shared.programs()
    assert sum(row.calls for row in rows) == 600
    assert sum(row.service_s for row in rows) == sum(served)
    assert [row.threads for row in rows] == [{}] * 5
    assert await engine_calls(shared) == {}
