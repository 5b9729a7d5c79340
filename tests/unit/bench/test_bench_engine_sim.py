"""The simulated engine over HTTP: the OpenAI API, the contract, failures on request; and its command line."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from autellix_bench.__main__ import main, parse
from autellix_bench.commands.engine_sim import knobs as knobs_of
from autellix_bench.engine import Costs, EngineModel, EngineSettings, Outcome, Output
from autellix_bench.server import FailureKind, Knobs, Serving, application
from autellix_bench.server.asked import read
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.wire import REPORT_COMMENT, REPORT_HEADER, STATE_PATH, CallHeaders, Report
from scripted_engine import served

FAST = Knobs(engine=EngineSettings(slots=2, costs=Costs(step_s=0.0005)))
Engine = Callable[..., AbstractAsyncContextManager[httpx2.AsyncClient]]


@asynccontextmanager
async def engine(**knobs: Any) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        served(application(Serving(replace(FAST, **knobs)))) as url,
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
    ):
        yield http


def headers(call: str = "c") -> dict[str, str]:
    return CallHeaders(program="p", call=call).to_headers()


async def completed(http: httpx2.AsyncClient, prompt: Any = "Say it.", **body: Any) -> dict[str, Any]:
    response = await http.post("/v1/completions", json={"prompt": prompt, "ignore_eos": True, **body})
    answer: dict[str, Any] = response.raise_for_status().json()
    return answer


async def test_the_text_is_the_prompts_and_the_seeds() -> None:
    async with engine() as http:
        once, again = [(await completed(http, max_tokens=30))["choices"][0]["text"] for _ in range(2)]
        seeded = (await completed(http, max_tokens=30, seed=7))["choices"][0]["text"]
        other = (await completed(http, "Say that.", max_tokens=30))["choices"][0]["text"]
    assert once == again
    assert len({once, seeded, other}) == 3
    async with engine(seed=7) as http:
        assert (await completed(http, max_tokens=30))["choices"][0]["text"] == seeded


async def test_an_answer_ends_by_itself_at_the_limit_or_on_a_stop_string() -> None:
    async with engine() as http:
        by_itself = (await http.post("/v1/completions", json={"prompt": "x", "max_tokens": 400})).json()
        limited = await completed(http, "x", max_tokens=9)
        text = limited["choices"][0]["text"]
        stopped = await completed(http, "x", max_tokens=9, stop=[text[10:14]])
    assert by_itself["choices"][0]["finish_reason"] == "stop"
    assert limited["choices"][0]["finish_reason"] == "length"
    assert limited["usage"] == {"prompt_tokens": 1, "completion_tokens": 9, "total_tokens": 10}
    assert stopped["choices"][0]["finish_reason"] == "stop"
    assert stopped["choices"][0]["text"] == text[: text.index(text[10:14])]


async def test_chat_streams_the_same_text_and_ends_with_usage_done_and_report() -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 6, "ignore_eos": True}
    async with engine() as http:
        whole = await http.post("/v1/chat/completions", json=body, headers=headers())
        streaming = {**body, "stream": True, "stream_options": {"include_usage": True}}
        stream = await http.post("/v1/chat/completions", json=streaming, headers=headers("d"))
    report = Report.from_json(whole.headers[REPORT_HEADER])
    assert (report.call, report.output_tokens) == ("c", 6)
    lines = [line for line in stream.text.splitlines() if line]
    events = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert lines[-2] == "data: [DONE]"
    assert Report.from_json(lines[-1].removeprefix(REPORT_COMMENT)).call == "d"
    assert events[-1]["usage"]["completion_tokens"] == 6
    said = "".join(event["choices"][0]["delta"]["content"] for event in events[:-1])
    assert said == whole.json()["choices"][0]["message"]["content"]


async def test_a_client_without_our_headers_sees_no_report() -> None:
    async with engine() as http:
        whole = await http.post("/v1/completions", json={"prompt": "x"})
        stream = await http.post("/v1/completions", json={"prompt": "x", "stream": True})
    assert REPORT_HEADER not in whole.headers
    assert stream.text.rstrip().endswith("data: [DONE]")


async def test_an_answer_is_found_in_the_cache_where_it_begins_the_next_prompt() -> None:
    """Of 102 bytes and 40 tokens 65 are whole, in four whole blocks, of which the prompt alone has one."""
    prompt = "q" * 102
    async with engine() as http:
        answer = (await completed(http, prompt, max_tokens=40))["choices"][0]["text"]
        body = {"prompt": f"{prompt}{answer} and more", "max_tokens": 1}
        next_one = await http.post("/v1/completions", json=body, headers=headers())
        another = {"prompt": f"{prompt}{answer.swapcase()} and more", "max_tokens": 1}
        changed = await http.post("/v1/completions", json=another, headers=headers())
    assert Report.from_json(next_one.headers[REPORT_HEADER]).cached_tokens == 64
    assert Report.from_json(changed.headers[REPORT_HEADER]).cached_tokens == 16


async def test_a_chat_finds_its_past_turns_again() -> None:
    messages = [{"role": "user", "content": "What is the weather like? " * 4}]
    cached = []
    async with engine() as http:
        for turn in range(3):
            body = {"messages": messages, "max_tokens": 50, "ignore_eos": True}
            response = await http.post("/v1/chat/completions", json=body, headers=headers(f"turn {turn}"))
            answer = response.json()
            held = answer["usage"]["total_tokens"] - 1  # nobody has computed what follows from the last token
            cached.append((Report.from_json(response.headers[REPORT_HEADER]).cached_tokens, held // 16 * 16))
            messages += [answer["choices"][0]["message"], {"role": "user", "content": "And tomorrow?"}]
    assert [found for found, _ in cached] == [0, *(held for _, held in cached[:-1])]


async def test_metrics_have_vllms_names_and_count_what_was_served() -> None:
    async with engine() as http:
        await completed(http, "y" * 400, max_tokens=5)
        await completed(http, "y" * 400, max_tokens=5)
        text = (await http.get("/metrics")).text
    samples = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
    assert samples["vllm:num_requests_running"].value == 0
    assert samples["vllm:num_requests_running"].labels == {"model_name": "autellix-sim", "engine": "0"}
    assert samples["vllm:prompt_tokens_total"].value == 200
    assert samples["vllm:prefix_cache_hits_total"].value == 96  # whole blocks of 16, less the last token's
    assert samples["vllm:generation_tokens_total"].value == 10


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"{", 400, "not JSON"),
        (b"[]", 400, "not a JSON object"),
        (b'{"prompt": ""}', 400, "prompt is empty"),
        (b'{"prompt": 5}', 400, "one text or one list of token ids"),
        (b'{"prompt": "x", "n": 2}', 400, "one choice a call"),
        (b'{"prompt": "x", "max_tokens": -1}', 400, "at least 1"),
        (b'{"prompt": "x", "max_tokens": 40000}', 400, "more than 32768"),
        (b'{"prompt": "x", "stop": [1]}', 400, "stop must be"),
        (b'{"prompt": "x", "model": "gpt"}', 404, "no model 'gpt'"),
    ],
)
async def test_what_cannot_be_served_is_refused_in_the_apis_shape(body: bytes, status: int, said: str) -> None:
    async with engine() as http:
        response = await http.post("/v1/completions", content=body)
    assert response.status_code == status
    assert said in response.json()["error"]["message"]
    assert response.json()["error"]["code"] == status


async def test_calls_fail_as_often_as_asked_for_and_the_same_ones_each_time() -> None:
    async def outcomes() -> list[int]:
        async with engine(failure_rate=0.4, seed=3) as http:
            return [(await http.post("/v1/completions", json={"prompt": "x"})).status_code for _ in range(25)]

    first = await outcomes()
    assert {200, 500} == set(first)
    assert first == await outcomes()


@pytest.mark.parametrize("streams", [True, False])
async def test_a_cut_call_ends_in_the_middle_and_is_accounted(streams: bool) -> None:
    async with engine(failure_rate=1.0, failure_kind=FailureKind.CUT) as http:
        body = {"prompt": "x", "max_tokens": 40, "ignore_eos": True, "stream": streams}
        if streams:
            with pytest.raises(httpx2.RemoteProtocolError):
                await http.post("/v1/completions", json=body, headers=headers())
        else:
            assert (await http.post("/v1/completions", json=body, headers=headers())).status_code == 500
        (kept,) = (await http.get(STATE_PATH)).json()["aborted"]
    assert kept["report"]["call"] == "c"
    assert 20 <= kept["report"]["output_tokens"] < 40


async def test_a_hanging_call_stays_until_its_client_leaves() -> None:
    async with engine(failure_rate=1.0, failure_kind=FailureKind.HANG) as http:
        asked = asyncio.create_task(http.post("/v1/completions", json={"prompt": "x", "max_tokens": 20000}))
        while not (state := (await http.get(STATE_PATH)).json())["running"]:
            assert not asked.done()
        asked.cancel()
        await asyncio.wait((asked,))
        while (state := (await http.get(STATE_PATH)).json())["running"]:
            pass
    assert len(state["aborted"]) == 1


class _Fails(EngineModel):
    def step(self, now: float) -> Outcome:
        if len(self):
            raise ZeroDivisionError
        return super().step(now)


async def test_a_model_that_fails_leaves_no_call_waiting(caplog: pytest.LogCaptureFixture) -> None:
    serving = Serving(FAST, model=_Fails(FAST.engine))
    asked = read(b'{"prompt": "x"}', FAST, chat=False)

    async def first_token() -> Output:
        return await anext(serving.serve(serving.job(asked, None), asked))

    async def serve() -> None:
        async with serving.running():
            with pytest.raises(RuntimeError, match="engine model failed"):
                await first_token()
            with pytest.raises(RuntimeError, match="does not run"):
                await first_token()

    with pytest.raises(ZeroDivisionError):
        await serve()
    assert "every call under way is given up" in caplog.text


async def test_it_says_that_it_is_healthy_and_what_it_serves() -> None:
    async with engine(model="m") as http:
        assert (await http.get("/health")).status_code == 200
        (model,) = (await http.get("/v1/models")).json()["data"]
    assert (model["id"], model["max_model_len"]) == ("m", 32768)


def test_the_command_line_sets_the_engine() -> None:
    told = (
        "--port 9001 --time-to-first-token 0.75 --inter-token-time 0.25 --max-num-seqs 4 --kv-blocks 4000 "
        "--level-bounds 1,3 --beta 2 --policy plas --failure-rate 0.5 --failure-kind hang --seed 11"
    )
    given = parse(["engine-sim", *told.split()])
    knobs = knobs_of(given)
    assert given.port == 9001
    assert knobs.engine.costs == Costs(step_s=0.25, prefill_s=0.5)
    assert knobs.engine.levels == Levels((1.0, 3.0), (1.0, 2.0, float("inf")), 2.0)
    assert (knobs.engine.slots, knobs.engine.blocks, knobs.engine.policy) == (4, 4000, Policy.PLAS)
    assert (knobs.failure_rate, knobs.failure_kind, knobs.seed) == (0.5, FailureKind.HANG, 11)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("--failure-rate 2", "between 0 and 1"),
        ("--kv-blocks 10", "does not fit into 10 blocks"),
        ("--level-bounds 3,1", "ascending"),
        ("--inter-token-time 0", "must take time"),
    ],
)
def test_a_wrong_command_line_is_a_sentence(given: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["engine-sim", *given.split()])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
