"""A call through the gateway: what the client gets, what the engine gets, and what the table keeps."""

import asyncio
import json
from typing import Any

import anyio
import openai
import pytest
import redis

from autellix_core import wire
from eventually import eventually
from gateway_fixtures import Pool, pool, redis_for_gateways
from gateways import gateway
from scripted_engine import MODEL, ScriptedEngine, served

__all__ = ["pool", "redis_for_gateways"]

LONG = "x" * 4 * 3000


async def only_engine(pool: Pool) -> ScriptedEngine:
    """The engine that the calls so far went to."""
    [engine] = [engine for engine in pool.engines.values() if engine.seen]
    return engine


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_passes_byte_for_byte(pool: Pool, path: str, stream: bool) -> None:
    prompt = {"messages": [{"role": "user", "content": "grüß"}]} if "chat" in path else {"prompt": "grüß"}
    asked = json.dumps({"model": MODEL, "stream": stream, "odd": 1e-7, **prompt}, indent=3).encode()
    answer = await pool.gateway.http.post(path, content=asked, headers={"content-type": "application/json"})
    engine = await only_engine(pool)
    assert engine.asked == [asked]
    assert answer.content == engine.sent[0]
    assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")
    if stream:
        assert answer.headers["x-engine"] == "kept"
    assert wire.REPORT_HEADER not in answer.headers


async def test_an_answer_says_where_it_ran_and_what_it_cost(pool: Pool) -> None:
    answer = await pool.gateway.chat({"service_s": 1.25, "wait_s": 0.5}, headers={"x-request-id": "mine"})
    assert answer.headers[wire.ENGINE_HEADER] in pool.engines
    assert answer.headers[wire.LEVEL_HEADER] == "0"
    assert float(answer.headers[wire.SERVICE_SECONDS_HEADER]) == 1.25
    assert float(answer.headers[wire.WAIT_SECONDS_HEADER]) == 0.5
    assert answer.headers["x-request-id"] == "mine"


@pytest.mark.parametrize("stream", [False, True])
async def test_the_next_call_of_a_program_carries_what_the_last_one_cost(pool: Pool, stream: bool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    for _ in range(3):
        answer = await pool.gateway.chat({"service_s": 0.5, "wait_s": 0.25}, stream=stream, headers=headers)
        assert answer.status_code == 200
    told = sorted(pool.seen, key=lambda seen: float(seen[wire.SERVICE_HEADER]))
    assert [float(seen[wire.SERVICE_HEADER]) for seen in told] == [0.0, 0.5, 1.0]
    assert [float(seen[wire.PROGRAM_WAIT_HEADER]) for seen in told] == [0.0, 0.25, 0.5]
    assert {seen[wire.PROGRAM_HEADER] for seen in told} == {session["id"]}
    assert [seen[wire.STOCK_PRIORITY_HEADER] for seen in told] == ["0", "2", "3"]
    shown = await pool.gateway.shown(session["id"])
    assert (shown["calls"], shown["active_calls"], shown["state"]) == (3, 0, "idle")
    assert (shown["service_seconds"], shown["wait_seconds"], shown["critical_path_seconds"]) == (1.5, 0.75, 1.5)
    assert (shown["prompt_tokens"], shown["output_tokens"]) == (33, 9)
    assert await pool.clean()


async def test_parallel_calls_inherit_the_same_and_spread_over_the_engines(pool: Pool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    await pool.gateway.chat({"service_s": 0.5}, headers=headers)
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(lambda: pool.gateway.chat({"service_s": 2.0, "hold": 0}, headers=headers))
        await eventually(lambda: _true(sum(e.inside for e in pool.engines.values()) == 8), "all eight are inside")
        assert [engine.inside for engine in pool.engines.values()] == [4, 4]
        assert (await pool.gateway.shown(session["id"]))["active_calls"] == 8
        for engine in pool.engines.values():
            engine.release()
    assert sorted(float(seen[wire.SERVICE_HEADER]) for seen in pool.seen) == [0.0] + [0.5] * 8
    shown = await pool.gateway.shown(session["id"])
    assert (shown["service_seconds"], shown["critical_path_seconds"]) == (16.5, 2.5)


async def test_long_calls_stay_with_their_programs_engine(pool: Pool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    long = {"messages": [{"role": "user", "content": LONG}], "headers": headers}
    home = (await pool.gateway.chat({}, **long)).headers[wire.ENGINE_HEADER]
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(lambda: pool.gateway.chat({"hold": 0}, **long))
        await eventually(lambda: _true(pool.engines[home].inside == 3), "all went home")
        short = await pool.gateway.chat({}, headers=headers)
        assert short.headers[wire.ENGINE_HEADER] != home
        pool.engines[home].release()


async def test_ids_that_agents_send_name_programs_of_their_key(pool: Pool) -> None:
    for name, key in (("x-session-id", "one"), ("X_Session_Id", "one"), ("x-session-id", "two")):
        await pool.gateway.chat({}, headers={name: "job/7", "authorization": f"Bearer {key}"})
    programs = [seen[wire.PROGRAM_HEADER] for seen in pool.seen]
    assert len(set(programs)) == 2
    assert all(program.endswith(":job/7") for program in programs)
    listed = (await pool.gateway.http.get("/v1/sessions")).json()["data"]
    assert sorted(session["calls"] for session in listed) == [1, 2]
    [first] = [session for session in listed if session["calls"] == 2]
    assert (await pool.gateway.shown(first["id"]))["service_seconds"] == 1.0


async def test_a_call_that_names_no_program_leaves_no_row(pool: Pool) -> None:
    await pool.gateway.chat({})
    assert (await pool.gateway.http.get("/v1/sessions")).json()["data"] == []
    assert await pool.clean()


async def test_clients_cannot_speak_for_the_gateway(pool: Pool) -> None:
    forged = {wire.SERVICE_HEADER: "0", wire.PROGRAM_HEADER: "theirs", "x-vllm-priority": "-9", "x-own": "kept"}
    await pool.gateway.chat({}, headers={**forged, "authorization": "Bearer secret", "cookie": "a=b"})
    [seen] = pool.seen
    assert seen[wire.PROGRAM_HEADER] != "theirs"
    assert (seen["x-vllm-priority"], seen["x-own"]) == ("0", "kept")
    assert "authorization" not in seen
    assert "cookie" not in seen


async def test_models_are_those_of_the_engines(pool: Pool) -> None:
    listed = (await pool.gateway.http.get("/v1/models")).json()
    assert [entry["id"] for entry in listed["data"]] == [MODEL]
    assert (await pool.gateway.http.get(f"/v1/models/{MODEL}")).json()["id"] == MODEL


async def test_the_openai_client_works_unchanged(pool: Pool) -> None:
    messages: Any = [{"role": "user", "content": "hi"}]

    def synchronously() -> None:
        with openai.OpenAI(base_url=f"{pool.gateway.url}/v1", api_key="k", max_retries=0) as client:
            whole = client.chat.completions.create(model=MODEL, messages=messages)
            assert whole.choices[0].message.content == "wörd0 wörd1 wörd2 "
            with client.chat.completions.create(model=MODEL, messages=messages, stream=True) as stream:
                assert "".join(c.choices[0].delta.content or "" for c in stream) == "wörd0 wörd1 wörd2 "
            assert client.completions.create(model=MODEL, prompt="hi").choices[0].text == "wörd0 wörd1 wörd2 "
            assert [model.id for model in client.models.list()] == [MODEL]
            with pytest.raises(openai.NotFoundError, match="not served here"):
                client.chat.completions.create(model="other", messages=messages)

    await asyncio.to_thread(synchronously)
    async with openai.AsyncOpenAI(base_url=f"{pool.gateway.url}/v1", api_key="k", max_retries=0) as client:
        answer = await client.chat.completions.create(model=MODEL, messages=messages)
        assert answer.choices[0].message.content == "wörd0 wörd1 wörd2 "
        stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        assert "".join([c.choices[0].delta.content or "" async for c in stream]) == "wörd0 wörd1 wörd2 "
    assert await pool.clean()


async def test_two_gateways_are_one(pool: Pool) -> None:
    session = await pool.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    async with gateway(pool.redis.url, *pool.urls) as other:
        for each in (pool.gateway, other, pool.gateway, other):
            await each.chat({"service_s": 0.5}, headers=headers)
        assert await other.shown(session["id"]) == await pool.gateway.shown(session["id"])
        ended = await other.http.delete(f"/v1/sessions/{session['id']}")
        assert (ended.status_code, ended.json()["state"]) == (200, "ended")
    assert sorted(float(seen[wire.SERVICE_HEADER]) for seen in pool.seen) == [0.0, 0.5, 1.0, 1.5]
    assert (await pool.gateway.chat({}, headers=headers)).status_code == 410


@pytest.mark.parametrize("stream", [False, True])
async def test_an_engine_without_the_adapter_is_still_an_engine(pool: Pool, stream: bool) -> None:
    stock = ScriptedEngine(stock=True)
    async with served(stock.app) as url, gateway(pool.redis.url, url, pool="stock") as own:
        session = await own.session()
        answer = await own.chat({"tokens": 5}, stream=stream, headers={wire.SESSION_HEADER: session["token"]})
        assert answer.content == stock.sent[0]
        shown = await own.shown(session["id"])
    assert shown["service_seconds"] > 0
    assert shown["output_tokens"] == 5
    with redis.Redis.from_url(pool.redis.url) as client:
        assert client.zcard("autellix:{stock}:leases") == 0


async def _true(holds: bool) -> bool:
    return holds
