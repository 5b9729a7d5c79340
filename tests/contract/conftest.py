"""The tables under contract: the one in memory, and the one on a real redis-server."""

from collections.abc import AsyncIterator, Iterator

import pytest

from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import Limits, ProcessTable
from autellix_gateway.table.redis import connect
from redis_server import RedisServer, redis_server
from table_clock import TableClock

LIMITS = Limits(session_ttl_s=100.0, remember_s=50.0, lease_s=10.0, programs_per_tenant=2)


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def clock() -> TableClock:
    return TableClock()


@pytest.fixture
def limits() -> Limits:
    return LIMITS


@pytest.fixture(params=["memory", "redis"])
async def table(request: pytest.FixtureRequest, clock: TableClock, limits: Limits) -> AsyncIterator[ProcessTable]:
    if request.param == "memory":
        yield MemoryTable(limits, clock)
        return
    server: RedisServer = request.getfixturevalue("server")
    shared = connect(server.url, pool=request.node.nodeid, limits=limits, timeout_s=5.0, clock=clock)
    yield shared
    await shared.close()
