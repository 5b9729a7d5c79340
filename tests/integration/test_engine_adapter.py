"""The adapter inside real vLLM: what Algorithm 1 promises, seen over HTTP. Order and cause, never timings."""

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from autellix_core.levels import Levels, level_of
from autellix_core.priority import Policy
from autellix_core.wire import REPORT_COMMENT, REPORT_HEADER, STATE_PATH, CallHeaders, Report
from real_engine import MODEL, RealEngine

LONG_TOKENS = 1500
HEAVY_S = 30.0
LEVELS = Levels.geometric()

pytestmark = pytest.mark.timeout(300)  # the first test waits for the engine


@dataclass
class Streamed:
    """A streamed call as its client sees it."""

    id: str
    text: str = ""
    finish: str | None = None
    report: Report | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def reported(self) -> Report:
        assert self.report is not None, "the stream ended without a report"
        return self.report


class Client:
    """Sends calls of programs to one engine, and notes in which order things happened."""

    def __init__(self, http: httpx2.AsyncClient) -> None:
        self.http = http
        self.events: list[str] = []

    async def whole(
        self, prompt: Any, *, headers: dict[str, str] | None = None, **body: Any
    ) -> tuple[httpx2.Response, Report | None]:
        sent = CallHeaders(program="p", call=new_id()).to_headers() if headers is None else headers
        response = await self.http.post("/v1/completions", json=asked(prompt, **body), headers=sent)
        report = response.headers.get(REPORT_HEADER)
        return response, None if report is None else Report.from_json(report)

    async def stream(self, call: Streamed, headers: CallHeaders, prompt: str, **body: Any) -> Streamed:
        asking = self.http.stream(
            "POST", "/v1/completions", json=asked(prompt, stream=True, **body), headers=headers.to_headers()
        )
        async with asking as response:
            async for line in response.aiter_lines():
                if line.startswith(REPORT_COMMENT):
                    call.report = Report.from_json(line.removeprefix(REPORT_COMMENT))
                elif line.startswith("data: {"):
                    choice = json.loads(line.removeprefix("data: "))["choices"][0]
                    call.text += choice["text"]
                    call.finish = choice["finish_reason"] or call.finish
                    if not call.begun.is_set():
                        self.events.append(f"{call.id} began")
                        call.begun.set()
        self.events.append(f"{call.id} ended")
        return call

    async def state(self) -> dict[str, Any]:
        state: dict[str, Any] = (await self.http.get(STATE_PATH)).raise_for_status().json()
        return state

    async def aborted(self, call: str) -> Report:
        """The report that the engine keeps of an aborted call, once it has noticed the abort."""
        while True:
            for entry in (await self.state())["aborted"]:
                if entry["report"]["call"] == call:
                    return Report.from_mapping(entry["report"])
            await asyncio.sleep(0.02)


@pytest.fixture
async def client(first_engine: RealEngine) -> AsyncIterator[Client]:
    async with httpx2.AsyncClient(base_url=first_engine.url, timeout=120) as http:
        yield Client(http)
    assert "failed; this step is in vLLM's own order" not in first_engine.logged()


def new_id() -> str:
    return uuid.uuid4().hex


def text_of(response: httpx2.Response) -> str:
    text: str = response.raise_for_status().json()["choices"][0]["text"]
    return text


def asked(prompt: Any, **body: Any) -> dict[str, Any]:
    return {"model": MODEL, "prompt": prompt, "temperature": 0, "ignore_eos": True, **body}


def heavy(policy: Policy = Policy.ATLAS) -> CallHeaders:
    """A call of a program that has had much service and has not waited."""
    return CallHeaders(program=new_id(), call=new_id(), service_s=HEAVY_S, program_service_s=HEAVY_S, policy=policy)


def fresh(policy: Policy = Policy.ATLAS) -> CallHeaders:
    return CallHeaders(program=new_id(), call=new_id(), policy=policy)


async def full_batch(client: Client, policy: Policy) -> tuple[Streamed, Streamed, Streamed]:
    """Two long calls of heavy programs hold the batch of two, then a call of a new program arrives."""
    first, second, short = Streamed("first"), Streamed("second"), Streamed("short")
    async with asyncio.TaskGroup() as group:
        for call in (first, second):
            group.create_task(client.stream(call, heavy(policy), f"A long {call.id} call.", max_tokens=LONG_TOKENS))
        await first.begun.wait()
        await second.begun.wait()
        group.create_task(client.stream(short, fresh(policy), "A short one.", max_tokens=8))
    return first, second, short


async def test_a_new_programs_call_displaces_a_heavy_one_and_nothing_is_lost(client: Client) -> None:
    alone = [
        text_of((await client.whole(f"A long {name} call.", max_tokens=LONG_TOKENS))[0]) for name in ("first", "second")
    ]

    first, second, short = await full_batch(client, Policy.ATLAS)

    ended = min(client.events.index("first ended"), client.events.index("second ended"))
    assert client.events.index("short began") < ended
    assert client.events.index("short ended") < ended
    assert [first.text, second.text] == alone
    assert len(set(alone)) == 2
    assert first.reported.preemptions + second.reported.preemptions >= 1
    assert short.reported.preemptions == 0
    assert short.reported.level == 0


async def test_no_text_depends_on_the_company_it_was_made_in(client: Client) -> None:
    chance = random.Random(3)
    jobs = [
        (f"Prompt {index} " * chance.randint(1, 20), chance.randint(10, 150), chance.choice([0.0, 0.3, 1.0, 5.0, 90.0]))
        for index in range(40)
    ]
    alone = [text_of((await client.whole(prompt, max_tokens=tokens))[0]) for prompt, tokens, _ in jobs]
    together: dict[int, str] = {}
    preemptions = 0
    pending = iter(enumerate(jobs))

    async def agent() -> None:
        nonlocal preemptions
        for index, (prompt, tokens, service_s) in pending:
            headers = CallHeaders(program=new_id(), call=new_id(), service_s=service_s, program_service_s=service_s)
            response, report = await client.whole(prompt, headers=headers.to_headers(), max_tokens=tokens)
            assert report is not None
            together[index] = text_of(response)
            preemptions += report.preemptions

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(agent())

    assert [together[index] for index in range(len(jobs))] == alone
    assert preemptions > 0


async def test_a_preempted_call_is_told_its_wait(client: Client) -> None:
    first, second, short = await full_batch(client, Policy.ATLAS)

    for report in (first.reported, second.reported):
        assert report.output_tokens == LONG_TOKENS
        assert report.level >= level_of(LEVELS, HEAVY_S)
    displaced = max(first.reported, second.reported, key=lambda report: report.preemptions)
    assert displaced.wait_s >= short.reported.service_s  # it was out of the batch at least while the short one ran


async def test_first_come_first_served_leaves_vllms_own_order_alone(client: Client) -> None:
    first, second, short = await full_batch(client, Policy.FCFS)

    ended = min(client.events.index("first ended"), client.events.index("second ended"))
    assert ended < client.events.index("short began")
    assert [call.reported.preemptions for call in (first, second, short)] == [0, 0, 0]
    assert [call.reported.level for call in (first, second, short)] == [0, 0, 0]


async def test_a_call_is_demoted_when_its_quantum_is_used_up(client: Client) -> None:
    call, headers = Streamed("long"), fresh()
    task = asyncio.create_task(client.stream(call, headers, "On and on.", max_tokens=16_000))
    level = 0
    while level == 0:
        running = (await client.state())["running"]
        level = next((int(each["level"]) for each in running if each["call"] == headers.call), 0)
        assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    report = await client.aborted(headers.call)
    assert report.demotions == report.level >= 1
    assert report.service_s >= LEVELS.bounds_s[report.level - 1]
    assert report.promotions == 0


async def test_a_client_that_leaves_is_still_accounted(client: Client) -> None:
    call, headers = Streamed("left"), fresh()
    task = asyncio.create_task(client.stream(call, headers, "Soon alone.", max_tokens=16_000))
    await call.begun.wait()
    during = await client.state()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    report = await client.aborted(headers.call)
    assert during["resident_blocks"][headers.program] >= 1
    assert 0 < report.output_tokens < 16_000
    assert report.service_s > 0
    after = await client.state()
    assert headers.program not in after["resident_blocks"]
    assert headers.call not in {each["call"] for each in after["running"]}


async def test_a_client_of_a_whole_response_that_leaves_is_accounted_too(client: Client) -> None:
    headers = fresh()
    task = asyncio.create_task(client.whole("No stream.", headers=headers.to_headers(), max_tokens=16_000))
    while headers.program not in (await client.state())["resident_blocks"]:
        assert not task.done()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

    assert (await client.aborted(headers.call)).service_s > 0


@pytest.mark.parametrize("streamed", [True, False], ids=["stream", "whole"])
async def test_a_stop_string_ends_the_report_where_it_ends_the_text(client: Client, streamed: bool) -> None:
    response, unstopped = await client.whole("Stop me.", max_tokens=200)
    text = text_of(response)
    stop = text[60:66]
    expected = text[: text.index(stop)]

    if streamed:
        call = await client.stream(Streamed("stopped"), fresh(), "Stop me.", max_tokens=200, stop=[stop])
        got, finish, report = call.text, call.finish, call.reported
    else:
        response, reported = await client.whole("Stop me.", max_tokens=200, stop=[stop])
        assert reported is not None
        choice = response.json()["choices"][0]
        got, finish, report = choice["text"], choice["finish_reason"], reported

    assert (got, finish) == (expected, "stop")
    # One token is one character here. A step that had begun when the stop string was found may have added some.
    assert len(expected) + len(stop) <= report.output_tokens < 200
    assert unstopped is not None
    assert unstopped.output_tokens == 200


async def test_the_report_is_of_the_call_however_many_requests_it_is_made_of(client: Client) -> None:
    several, report = await client.whole("Three of one.", max_tokens=20, n=3, temperature=1.0)
    assert report is not None
    assert len(several.json()["choices"]) == 3
    assert report.output_tokens == 60

    prompts, report = await client.whole(["One.", "Two two.", "Three three three."], max_tokens=20)
    assert report is not None
    assert len(prompts.json()["choices"]) == 3
    assert report.output_tokens == 60
    assert report.prompt_tokens == prompts.json()["usage"]["prompt_tokens"]


async def test_cached_prompt_tokens_are_reported(client: Client) -> None:
    prompt = f"{new_id()} " * 10
    _, cold = await client.whole(prompt, max_tokens=2)
    _, warm = await client.whole(prompt, max_tokens=2)
    assert cold is not None
    assert warm is not None
    assert cold.cached_tokens == 0
    assert warm.prompt_tokens == len(prompt)
    assert len(prompt) - 64 <= warm.cached_tokens < len(prompt)


async def test_a_plain_client_sees_plain_vllm(client: Client) -> None:
    response, report = await client.whole("Nobody's call.", headers={}, max_tokens=4)
    assert response.status_code == 200
    assert report is None

    lines = []
    async with client.http.stream("POST", "/v1/completions", json=asked("x", stream=True, max_tokens=2)) as stream:
        lines = [line async for line in stream.aiter_lines() if line]
    assert lines[-1] == "data: [DONE]"


async def test_chat_carries_the_call_too(client: Client) -> None:
    headers = fresh()
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Grüße"}], "max_tokens": 3}
    response = await client.http.post("/v1/chat/completions", json=body, headers=headers.to_headers())
    report = Report.from_json(response.headers[REPORT_HEADER])
    assert report.call == headers.call
    assert report.output_tokens == 3
    assert response.json()["kv_transfer_params"] is None


async def test_a_refused_call_has_no_report_and_leaves_nothing(client: Client) -> None:
    response, report = await client.whole("x", max_tokens=-1)
    assert response.status_code == 400
    assert report is None
    assert (await client.state())["waiting"] == 0


@pytest.mark.parametrize(
    "hostile",
    [
        {"x-autellix-service": "nan"},
        {"x-autellix-service": "-1e999"},
        {"x-autellix-service": "9" * 5000},
        {"x-autellix-service": "__import__('os')"},
        {"x-autellix-program-wait": "inf", "x-autellix-program-service": "-0"},
        {"x-autellix-policy": "'; DROP TABLE programs"},
        {"x-autellix-program": "p" * 8000},
        {"x-autellix-call": "c" * 8000},
        {"x-autellix-report": "{}"},
    ],
    ids=lambda headers: next(iter(headers.items()))[1][:12],
)
async def test_hostile_headers_change_nothing_but_the_order(client: Client, hostile: dict[str, str]) -> None:
    plain, _ = await client.whole("The same text.", max_tokens=12)

    response, _ = await client.whole(
        "The same text.", headers={**fresh().to_headers(), **hostile}, max_tokens=12, vllm_xargs={"autellix": "forged"}
    )

    assert text_of(response) == text_of(plain)
    state = await client.state()
    assert (state["running"], state["waiting"]) == ([], 0)
