"""A gateway that is told to end: what it says, what it still serves, and what it leaves behind."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis

from eventually import eventually
from gateway_api_server import POOLS, ApiServer, a_pool, kubeconfig
from gateway_fixtures import redis_for_gateways
from gateway_process import GatewayProcess, gateway_process
from redis_server import RedisServer
from scripted_engine import MODEL, ScriptedEngine, served

__all__ = ["redis_for_gateways"]


@pytest.fixture
async def engine() -> AsyncIterator[tuple[ScriptedEngine, str]]:
    """A scripted engine and its URL."""
    scripted = ScriptedEngine()
    async with served(scripted.app) as url:
        yield scripted, url


def body(**script: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "stream": True, "script": script}


def leases(server: RedisServer, pool: str) -> int:
    with redis.Redis.from_url(server.url) as client:
        return int(client.zcard(f"autellix:{{{pool}}}:leases"))


async def holding(gateway: GatewayProcess, engine: ScriptedEngine) -> "asyncio.Task[bytes]":
    """A stream that the engine holds after its first token."""

    async def read() -> bytes:
        return (await gateway.http.post("/v1/chat/completions", json=body(hold=1))).content

    stream = asyncio.create_task(read())
    await asyncio.wait_for(engine.held.wait(), 30)
    return stream


async def test_a_gateway_that_ends_says_so_serves_on_for_a_while_and_ends_its_streams(
    redis_for_gateways: RedisServer, engine: tuple[ScriptedEngine, str]
) -> None:
    scripted, url = engine
    flags = ("--redis-url", redis_for_gateways.url, "--engines", url, "--pool", "ends")
    async with gateway_process(*flags, "--drain-delay-s", "6", "--shutdown-s", "60") as gateway:
        stream = await holding(gateway, scripted)
        gateway.terminate()

        async def leaving() -> bool:
            return await gateway.ready() == (503, "leaving")

        await eventually(leaving, "it says that it ends")
        late = await gateway.http.post("/v1/chat/completions", json=body())
        assert (late.status_code, late.headers["connection"]) == (200, "close")
        assert late.content.rstrip().endswith(b"[DONE]")

        async def deaf() -> bool:
            return not await gateway.listens()

        await eventually(deaf, "it takes no new connections", tries=2000)
        assert not stream.done()
        scripted.release()
        assert (await stream).rstrip().endswith(b"[DONE]"), "the stream ran to its end"
        await gateway.ended()
    assert leases(redis_for_gateways, "ends") == 0


async def test_what_does_not_end_in_time_is_cut_off_and_settled(
    redis_for_gateways: RedisServer, engine: tuple[ScriptedEngine, str]
) -> None:
    scripted, url = engine
    flags = ("--redis-url", redis_for_gateways.url, "--engines", url, "--pool", "cut-off")
    async with gateway_process(*flags, "--shutdown-s", "1") as gateway:
        stream = await holding(gateway, scripted)
        assert leases(redis_for_gateways, "cut-off") == 1
        gateway.terminate()
        await asyncio.wait_for(scripted.gone.wait(), 30)
        await asyncio.wait({stream})
        assert stream.exception() is not None or b"[DONE]" not in stream.result()
        await gateway.ended()
    assert leases(redis_for_gateways, "cut-off") == 0


async def test_calls_that_wait_for_an_engine_are_refused_when_the_gateway_ends(
    redis_for_gateways: RedisServer, tmp_path: Path
) -> None:
    server = ApiServer()
    server.put(POOLS, a_pool())
    async with served(server.app) as url:
        env = {"KUBECONFIG": str(kubeconfig(tmp_path / "config", url))}
        flags = ("--redis-url", redis_for_gateways.url, "--kubernetes-namespace", "agents", "--pool", "held")
        async with gateway_process(*flags, env=env) as gateway:
            assert await gateway.ready() == (200, "holding")
            call = asyncio.create_task(gateway.http.post("/v1/chat/completions", json=body()))

            async def held() -> bool:
                state = (await gateway.http.get("/readyz")).json()
                return bool(state["pools"]["tiny"]["held"] == 1)

            await eventually(held, "the call is held")
            gateway.terminate()
            answer = await call
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
            assert int(answer.headers["retry-after"]) > 0
            await gateway.ended()
    assert leases(redis_for_gateways, "held") == 0


async def test_without_a_cluster_the_gateway_does_not_start(redis_for_gateways: RedisServer, tmp_path: Path) -> None:
    flags = ("--redis-url", redis_for_gateways.url, "--kubernetes-namespace", "agents")
    with pytest.raises(AssertionError, match="the gateway ended"):
        async with gateway_process(*flags, env={"KUBECONFIG": str(tmp_path / "none")}):
            pass
