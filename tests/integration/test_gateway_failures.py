"""What goes wrong under a call: its client leaves, its session ends, its engine dies, Redis is away."""

import asyncio
import json
from contextlib import AsyncExitStack
from typing import Any

import anyio
import httpx2
import openai
import pytest

from autellix_core import wire
from eventually import eventually
from gateway_fixtures import Pool, pool, redis_for_gateways
from gateways import gateway
from redis_server import redis_server
from scripted_engine import MODEL, ScriptedEngine, abrupt_engine, served

__all__ = ["pool", "redis_for_gateways"]


def body(script: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "script": script, **more}


async def holding(pool: Pool) -> ScriptedEngine:
    """The engine that holds the one call under way."""

    async def held() -> bool:
        return any(engine.held.is_set() for engine in pool.engines.values())

    await eventually(held, "an engine holds the call")
    [engine] = [engine for engine in pool.engines.values() if engine.held.is_set()]
    return engine


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_aborts_its_call_and_pays_what_it_had(pool: Pool, stream: bool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    script = {"hold": 1, "service_s": 0.75, "wait_s": 0.125}
    call = asyncio.create_task(pool.gateway.chat(script, stream=stream, headers=headers))
    engine = await holding(pool)
    call.cancel()
    await asyncio.wait_for(engine.gone.wait(), 10)

    async def settled() -> bool:
        return bool((await pool.gateway.shown(session["id"]))["active_calls"] == 0)

    await eventually(settled, "the call is settled")
    shown = await pool.gateway.shown(session["id"])
    assert (shown["service_seconds"], shown["wait_seconds"]) == (0.75, 0.125), "as the engine reported afterwards"
    assert shown["last_completion_at"] is None
    assert await pool.clean()


@pytest.mark.parametrize("stream", [False, True])
async def test_ending_a_session_ends_its_calls(pool: Pool, stream: bool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    call = asyncio.create_task(pool.gateway.chat({"hold": 1}, stream=stream, headers=headers))
    engine = await holding(pool)
    assert (await pool.gateway.http.delete(f"/v1/sessions/{session['id']}")).status_code == 200
    answer = await call
    if stream:
        last = answer.content.rstrip().splitlines()[-1]
        assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "session_ended"
        assert b"[DONE]" not in answer.content
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (410, "session_ended")
    await asyncio.wait_for(engine.gone.wait(), 10)
    await eventually(pool.clean, "the call is settled")


async def test_a_session_ended_at_another_gateway_ends_its_calls_here(pool: Pool) -> None:
    async with gateway(pool.redis.url, *pool.urls, lease_s=0.4) as other:
        session = await pool.gateway.session()
        call = asyncio.create_task(other.chat({"hold": 1}, headers={wire.SESSION_HEADER: session["token"]}))
        await holding(pool)
        await pool.gateway.http.delete(f"/v1/sessions/{session['id']}")
        assert (await call).status_code == 410
        await eventually(pool.clean, "the call is settled")


async def test_an_engine_that_dies_mid_stream_is_told_in_the_stream(pool: Pool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    answer = await pool.gateway.chat({"break_after": 2}, stream=True, headers=headers)
    events = [line for line in answer.content.splitlines() if line]
    assert len(events) == 3
    error = json.loads(events[-1].removeprefix(b"data: "))["error"]
    assert (error["code"], error["type"]) == ("engine_failed", "server_error")
    assert "send the call again" in error["message"]
    await eventually(pool.clean, "the call is settled")
    assert (await pool.gateway.shown(session["id"]))["calls"] == 1
    async with openai.AsyncOpenAI(base_url=f"{pool.gateway.url}/v1", api_key="k", max_retries=0) as client:
        stream = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            extra_body={"script": {"break_after": 1}},
        )
        with pytest.raises(openai.APIError, match="broke off"):
            async for _ in stream:
                pass


async def test_a_call_that_its_engine_does_not_take_goes_to_another(pool: Pool) -> None:
    gone, stays = ScriptedEngine(), ScriptedEngine()
    async with served(stays.app) as there, AsyncExitStack() as stack:
        async with served(gone.app) as away:
            own = await stack.enter_async_context(
                gateway(pool.redis.url, away, there, placement="round-robin", health_interval_s=60.0, pool="two")
            )
            assert all(e["up"] for e in (await own.http.get("/readyz")).json()["engines"].values())
        # One of the two is gone now, and nobody has noticed yet.
        answers = [await own.chat({}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200] * 4
        assert len(stays.seen) == 4


async def test_an_engine_that_closes_before_its_first_byte_is_passed_over(pool: Pool) -> None:
    async with abrupt_engine() as abrupt:
        async with gateway(pool.redis.url, abrupt, pool="abrupt") as alone:
            answer = await alone.chat({})
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
            assert int(answer.headers["retry-after"]) > 0
        async with gateway(pool.redis.url, abrupt, *pool.urls, placement="round-robin", pool="three") as three:
            assert [(await three.chat({})).status_code for _ in range(6)] == [200] * 6


async def test_without_engines_there_is_a_sentence(pool: Pool) -> None:
    async with gateway(pool.redis.url, "http://127.0.0.1:9", pool="none") as alone:
        answer = await alone.chat({})
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
        assert "/readyz" in answer.json()["error"]["message"]
        ready = await alone.http.get("/readyz")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert (await alone.http.get("/healthz")).status_code == 200


async def test_an_engine_that_falls_silent_is_given_up(pool: Pool) -> None:
    async with gateway(pool.redis.url, *pool.urls, engine_silence_s=0.3, pool="silent") as hasty:
        whole = await hasty.chat({"hold": 1})
        assert (whole.status_code, whole.json()["error"]["code"]) == (504, "engine_silent")
        stream = await hasty.chat({"hold": 1}, stream=True)
        assert b"engine_silent" in stream.content.splitlines()[-2]


async def test_while_redis_is_away_calls_are_served_and_counted_when_it_is_back() -> None:
    engines = [ScriptedEngine(), ScriptedEngine()]
    with redis_server() as redis:
        async with (
            served(engines[0].app) as one,
            served(engines[1].app) as two,
            gateway(redis.url, one, two, table_timeout_s=0.3) as own,
        ):
            session = await own.session()
            headers = {wire.SESSION_HEADER: session["token"]}
            assert (await own.chat({"service_s": 0.5}, headers=headers)).status_code == 200
            redis.save()
            redis.stop()
            async with anyio.create_task_group() as tasks:
                answers: list[httpx2.Response] = []

                async def call() -> None:
                    answers.append(await own.chat({"service_s": 0.5}, stream=True, headers=headers))

                for _ in range(4):
                    tasks.start_soon(call)
            assert [answer.status_code for answer in answers] == [200] * 4
            ready = await own.http.get("/readyz")
            assert (ready.status_code, ready.json()["status"], ready.json()["table"]) == (200, "degraded", "away")
            assert (await own.chat({})).status_code == 200
            assert (await own.http.post("/v1/sessions")).status_code == 201
            redis.restart()

            async def back() -> bool:
                return bool((await own.http.get("/readyz")).json()["status"] == "ready")

            await eventually(back, "the table is shared again", tries=2000)
            shown = await own.shown(session["id"])
            assert shown["active_calls"] == 0
            assert shown["service_seconds"] == 2.5, "what it had, and what it was told on its return"
            assert shown["calls"] == 5


async def test_a_client_that_leaves_while_redis_hangs_leaves_nothing(pool: Pool) -> None:
    pool.redis.freeze()
    try:
        call = asyncio.create_task(pool.gateway.chat({}))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait({call})
    finally:
        pool.redis.thaw()
    await eventually(pool.clean, "nothing is left of it", tries=2000)
