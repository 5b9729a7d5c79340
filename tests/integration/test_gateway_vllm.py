"""Programs through the gateway on real vLLM: measured service, program order, placement. Order and cause only."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest

from autellix_core import wire
from eventually import eventually
from gateways import Gateway, gateway
from real_engine import MODEL, RealEngine
from redis_server import RedisServer, redis_server

pytestmark = pytest.mark.timeout(400)  # the first test waits for two engines

LONG_TOKENS = 1200


@pytest.fixture(scope="module")
def redis_for_vllm() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture
async def alone(redis_for_vllm: RedisServer, first_engine: RealEngine) -> AsyncIterator[Gateway]:
    """A gateway on one engine, whose batch holds two calls."""
    async with gateway(redis_for_vllm.url, first_engine.url, pool="alone", chars_per_token=1.0) as running:
        yield running


@pytest.fixture
async def pair(redis_for_vllm: RedisServer, engines: tuple[RealEngine, RealEngine]) -> AsyncIterator[Gateway]:
    """A gateway on two engines."""
    urls = [engine.url for engine in engines]
    async with gateway(redis_for_vllm.url, *urls, pool="pair", chars_per_token=1.0) as running:
        yield running


def client_of(running: Gateway, session: dict[str, Any]) -> openai.AsyncOpenAI:
    headers = {wire.SESSION_HEADER: session["token"]}
    return openai.AsyncOpenAI(
        base_url=f"{running.url}/v1", api_key="k", default_headers=headers, max_retries=0, timeout=300
    )


async def opened(running: Gateway) -> dict[str, Any]:
    """A session of the key that the clients here use."""
    return await running.session(headers={"authorization": "Bearer k"})


async def written(client: openai.AsyncOpenAI, prompt: str, tokens: int, begun: asyncio.Event | None = None) -> str:
    """The text of one streamed completion at temperature 0."""
    text = ""
    stream = await client.completions.create(
        model=MODEL, prompt=prompt, max_tokens=tokens, temperature=0, stream=True, extra_body={"ignore_eos": True}
    )
    async for chunk in stream:
        text += chunk.choices[0].text
        if begun is not None:
            begun.set()
    return text


async def test_a_new_program_does_not_wait_for_the_calls_of_heavy_ones(alone: Gateway) -> None:
    heavy = [await opened(alone) for _ in range(2)]
    clients = [client_of(alone, session) for session in heavy]
    prompts = ["the first heavy program " * 3, "the second heavy program " * 3]
    solo = [await written(client, prompt, LONG_TOKENS) for client, prompt in zip(clients, prompts, strict=True)]
    for session in heavy:
        assert (await alone.shown(session["id"]))["level"] > 0, "a long call has made the program heavy"

    begun = [asyncio.Event() for _ in heavy]
    again = [
        asyncio.create_task(written(client, prompt, LONG_TOKENS, event))
        for client, prompt, event in zip(clients, prompts, begun, strict=True)
    ]
    await asyncio.gather(*(event.wait() for event in begun))
    light, first_token = await opened(alone), asyncio.Event()
    quick = client_of(alone, light)
    short = asyncio.create_task(written(quick, "a new program", 8, first_token))
    await first_token.wait()
    assert not any(task.done() for task in again), "its first token came while both heavy calls were under way"
    await short
    assert await asyncio.gather(*again) == solo, "what was preempted went on as if it had been alone"

    shown = [await alone.shown(session["id"]) for session in heavy]
    assert all(session["service_seconds"] == session["critical_path_seconds"] > 0 for session in shown)
    assert sum(session["wait_seconds"] for session in shown) > 0, "one of them stood back"
    assert all((session["calls"], session["output_tokens"]) == (2, 2 * LONG_TOKENS) for session in shown)
    assert (await alone.shown(light["id"]))["output_tokens"] == 8
    for client in (*clients, quick):
        await client.close()


async def test_first_come_first_served_leaves_the_engines_own_order(
    redis_for_vllm: RedisServer, first_engine: RealEngine
) -> None:
    settings = {"policy": "fcfs", "placement": "round-robin", "pool": "fcfs", "chars_per_token": 1.0}
    async with gateway(redis_for_vllm.url, first_engine.url, **settings) as plain:
        heavy = [client_of(plain, await opened(plain)) for _ in range(2)]
        begun = [asyncio.Event() for _ in heavy]
        long = [
            asyncio.create_task(written(client, f"heavy {number}", LONG_TOKENS, event))
            for number, (client, event) in enumerate(zip(heavy, begun, strict=True))
        ]
        await asyncio.gather(*(event.wait() for event in begun))
        first_token = asyncio.Event()
        quick = client_of(plain, await opened(plain))
        short = asyncio.create_task(written(quick, "a new program", 8, first_token))
        await asyncio.wait([*long, short], return_when=asyncio.FIRST_COMPLETED)
        assert not short.done(), "the short call waits until a place is free"
        await asyncio.gather(*long, short)
        for client in (*heavy, quick):
            await client.close()


async def test_a_client_that_leaves_pays_what_the_engine_measured(alone: Gateway) -> None:
    session, begun = await opened(alone), asyncio.Event()
    client = client_of(alone, session)
    call = asyncio.create_task(written(client, "nobody reads this", 6000, begun))
    await begun.wait()
    call.cancel()
    await asyncio.wait({call})
    await client.close()

    async def settled() -> bool:
        return bool((await alone.shown(session["id"]))["active_calls"] == 0)

    await eventually(settled, "the call is settled", tries=2000)
    shown = await alone.shown(session["id"])
    assert shown["service_seconds"] > 0
    assert 0 < shown["output_tokens"] < 6000
    assert shown["last_completion_at"] is None


async def test_what_vllm_refuses_comes_back_as_it_said_it(alone: Gateway) -> None:
    async with client_of(alone, await opened(alone)) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.completions.create(model=MODEL, prompt="x", max_tokens=10**9)
        assert "max_tokens" in str(refused.value)
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(
                model=MODEL, messages=[{"role": "user", "content": "x"}], temperature=-5
            )


async def test_a_fan_out_spreads_and_long_calls_go_home(pair: Gateway) -> None:
    session = await opened(pair)
    async with client_of(pair, session) as client:
        wide = await asyncio.gather(
            *(
                client.chat.completions.with_raw_response.create(
                    model=MODEL, messages=[{"role": "user", "content": f"branch {n}"}], max_tokens=150
                )
                for n in range(4)
            )
        )
        assert len({answer.headers[wire.ENGINE_HEADER] for answer in wide}) == 2
        fanned = await pair.shown(session["id"])
        assert fanned["critical_path_seconds"] < fanned["service_seconds"], "parallel calls are not added up"
        history = "what was said before " * 110  # beyond 2,048 tokens: the tokenizer is byte-level
        homes = set()
        for turn in range(3):
            answer = await client.chat.completions.with_raw_response.create(
                model=MODEL, messages=[{"role": "user", "content": history + str(turn)}], max_tokens=4
            )
            homes.add(answer.headers[wire.ENGINE_HEADER])
            assert float(answer.headers[wire.SERVICE_SECONDS_HEADER]) > 0
        assert len(homes) == 1
    ended = await pair.http.delete(f"/v1/sessions/{session['id']}", headers={"authorization": "Bearer k"})
    assert (ended.json()["state"], ended.json()["calls"]) == ("ended", 7)
