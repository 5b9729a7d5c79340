"""What else vLLM can do, together with the adapter: the same texts through preemption, whatever a call asks for."""

import asyncio
import random
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest

from autellix_core.wire import STATE_PATH
from autellix_engine import tiny_model
from engine_lora import write_adapter
from engine_storm import Answer, Job, alone, stormed
from real_engine import MODEL, RealEngine, real_engine

pytestmark = pytest.mark.timeout(300)  # the first test waits for the engine

LEVELS_S = (0.0, 0.3, 1.0, 5.0, 90.0)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealEngine]:
    """Small in every way, so that all of it happens: two calls, 64 tokens a step, 20 blocks, one LoRA adapter."""
    model, adapters = tiny_model.build(tiny_model.cache_directory()), tmp_path_factory.mktemp("adapters")
    loras = [f"{name}={write_adapter(adapters / name, model, seed=seed)}" for seed, name in enumerate(("warm", "cold"))]
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VLLM_SERVER_DEV_MODE", "1")  # for /sleep and /reset_prefix_cache
        with real_engine(
            "--",
            *("--max-num-seqs", "2", "--max-num-batched-tokens", "64", "--max-model-len", "512"),
            *("--num-gpu-blocks-override", "20"),
            *("--enable-lora", "--max-loras", "1", "--max-lora-rank", "8", "--lora-modules", *loras),
        ) as started:
            yield started


@pytest.fixture
async def http(engine: RealEngine) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(base_url=engine.url, timeout=120) as client:
        yield client
        state = (await client.get(STATE_PATH)).json()
    assert state["counts"]["failures"] == {}
    assert (state["running"], state["waiting"]) == ([], 0)


def asked(prompt: str, **body: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": prompt, "temperature": 0, "max_tokens": 40, "ignore_eos": True, **body}


KINDS: dict[str, dict[str, Any]] = {
    "chunked prefill": {"max_tokens": 60},
    "structured output": {"structured_outputs": {"regex": "([a-f]{3}-){12}"}, "max_tokens": 60, "ignore_eos": False},
    "n > 1": {"n": 3, "temperature": 1.0, "top_k": 1},
    "beam search": {"use_beam_search": True, "n": 2, "max_tokens": 12},
    "stop string": {"stop": ["e"], "min_tokens": 10},
    "logprobs": {"logprobs": 2},
    "LoRA": {"model": "warm"},
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_preempted_call_says_what_an_idle_engine_says(http: httpx2.AsyncClient, kind: str) -> None:
    chance = random.Random(kind)
    jobs = [
        Job(asked(f"{kind} {index} " * chance.randint(1, 12), **KINDS[kind]), LEVELS_S[-1 - index % len(LEVELS_S)])
        for index in range(12)
    ]
    idle = await alone(http, jobs)
    storm = await stormed(http, jobs, agents=6)
    assert storm == idle
    if kind != "beam search":  # which is made of requests of one token, each over in a step
        assert sum(answer.report.preemptions for answer in storm) > 0
    if kind == "structured output":
        assert all(re.fullmatch("([a-f]{3}-){12}", text) for answer in storm for text in answer.texts)


async def test_calls_of_several_lora_adapters_take_turns(http: httpx2.AsyncClient) -> None:
    jobs = [
        Job(asked(f"Whose {index}", model=("warm", "cold")[index % 2]), LEVELS_S[-1 - index % 5]) for index in range(18)
    ]
    idle = await alone(http, jobs)
    assert await stormed(http, jobs, agents=6) == idle
    plain, *adapted = await alone(http, [Job(asked("One.", model=name)) for name in (MODEL, "warm", "cold")])
    assert plain.texts not in [each.texts for each in adapted]


async def test_a_full_kv_cache_changes_no_text(http: httpx2.AsyncClient) -> None:
    before = (await http.get(STATE_PATH)).json()["counts"]
    jobs = [Job(asked(f"Long {index} " * 14, max_tokens=380), LEVELS_S[index % 3]) for index in range(3)]
    idle = await alone(http, jobs)
    storm = await stormed(http, jobs, agents=3)
    assert storm == idle
    after = (await http.get(STATE_PATH)).json()["counts"]
    assert after["preemptions"]["kv_pressure"] > before["preemptions"]["kv_pressure"]


async def test_an_engine_that_slept_goes_on_where_it_was(http: httpx2.AsyncClient) -> None:
    (idle,) = await alone(http, [Job(asked("Sleep on it.", max_tokens=300))])
    answers: list[Answer] = []

    async def ask() -> None:
        answers.extend(await stormed(http, [Job(asked("Sleep on it.", max_tokens=300))], agents=1))

    async with asyncio.TaskGroup() as group:
        task = group.create_task(ask())
        while not (await http.get(STATE_PATH)).json()["running"]:
            assert not task.done()
        (await http.post("/sleep", params={"level": 0, "mode": "keep"})).raise_for_status()
        assert (await http.get("/is_sleeping")).json()["is_sleeping"]
        assert not task.done()
        (await http.post("/wake_up")).raise_for_status()
    assert answers == [idle]


async def test_a_cache_that_is_dropped_is_computed_again(http: httpx2.AsyncClient) -> None:
    (idle,) = await alone(http, [Job(asked("Forget it.", max_tokens=300))])
    before = (await http.get(STATE_PATH)).json()["counts"]["preemptions"]["cache_reset"]
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stormed(http, [Job(asked("Forget it.", max_tokens=300))], agents=1))
        while not (await http.get(STATE_PATH)).json()["running"]:
            assert not task.done()
        (await http.post("/reset_prefix_cache", params={"reset_running_requests": True})).raise_for_status()
    counts = (await http.get(STATE_PATH)).json()["counts"]
    assert task.result() == [idle]
    assert counts["preemptions"]["cache_reset"] == before + 1
    assert counts["recomputed_tokens"] > 0
