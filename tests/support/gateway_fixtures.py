"""Fixtures of the gateway's integration tests: one Redis a module, emptied before each test."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import redis

from gateways import Gateway, gateway
from redis_server import RedisServer, redis_server
from scripted_engine import ScriptedEngine, served

__all__ = ["Pool", "pool", "redis_for_gateways"]


@dataclass(frozen=True)
class Pool:
    """A gateway, its two scripted engines by their names, and its Redis."""

    gateway: Gateway
    engines: dict[str, ScriptedEngine]
    urls: tuple[str, ...]
    redis: RedisServer

    @property
    def seen(self) -> list[dict[str, str]]:
        """The headers of every call that reached an engine, engine by engine."""
        return [headers for engine in self.engines.values() for headers in engine.seen]

    async def clean(self) -> bool:
        """No engine is counted a call in the table, and no program of one call is left."""
        with redis.Redis.from_url(self.redis.url) as client:
            held = client.hgetall("autellix:{default}:engines")
            leases = client.zcard("autellix:{default}:leases")
        assert isinstance(held, dict)
        return not any(int(count) for count in held.values()) and not leases


@pytest.fixture(scope="module")
def redis_for_gateways() -> Iterator[RedisServer]:
    """A real Redis."""
    with redis_server() as server:
        yield server


@pytest.fixture
async def pool(redis_for_gateways: RedisServer) -> AsyncIterator[Pool]:
    """A gateway on two scripted engines, with an empty table."""
    with redis.Redis.from_url(redis_for_gateways.url) as client:
        client.flushall()
    engines = [ScriptedEngine(), ScriptedEngine()]
    async with AsyncExitStack() as stack:
        urls = [await stack.enter_async_context(served(engine.app)) for engine in engines]
        running = await stack.enter_async_context(gateway(redis_for_gateways.url, *urls))
        names = [url.removeprefix("http://") for url in urls]
        yield Pool(running, dict(zip(names, engines, strict=True)), tuple(urls), redis_for_gateways)
