"""The API process's part of the adapter on raw ASGI, with a stand-in for vLLM's engine client."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from autellix_core.wire import REPORT_HEADER, STATE_PATH, CallHeaders, Report
from autellix_engine.carrier import SNAPSHOT, carried, pack_report
from autellix_engine.counts import Counts
from autellix_engine.metrics import EngineMetrics
from autellix_engine.middleware import ProgramMiddleware

CALL = CallHeaders(program="p", call="c", service_s=2.5)
JSON_START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]}
SSE_START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/event-stream; x=y")]}


@dataclass
class EngineClient:
    """Answers every request with outputs that carry these reports."""

    reports: list[Report | None] = field(default_factory=list)
    state: Any = None
    received: list[Any] = field(default_factory=list)
    closed: int = 0
    yielded: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.engine_core = SimpleNamespace(call_utility_async=self._utility)

    async def generate(self, prompt: str, sampling_params: Any, request_id: str) -> AsyncIterator[Any]:
        self.received.append(sampling_params.extra_args)
        try:
            for report in self.reports:
                transfer = {"remote": 1} if report is None else pack_report({"remote": 1}, asdict(report))
                output = SimpleNamespace(kv_transfer_params=transfer)
                self.yielded.append(output)
                yield output
        finally:
            self.closed += 1

    async def _utility(self, name: str) -> Any:
        assert name == SNAPSHOT
        if isinstance(self.state, Exception):
            raise self.state
        return self.state


def a_report(output_tokens: int = 1) -> Report:
    return Report(call="c", service_s=1.5, wait_s=0.5, level=1, output_tokens=output_tokens)


def params(extra_args: dict[str, Any] | None = None) -> SimpleNamespace:
    return SimpleNamespace(extra_args=extra_args)


def scope(client: EngineClient | None, headers: dict[str, str], path: str = "/v1/completions", **more: Any) -> Any:
    app = SimpleNamespace(state=SimpleNamespace(engine_client=client))
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http", "method": "POST", "path": path, "headers": raw, "app": app, **more}


async def receive() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def run(app: Any, given: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    await app(given, receive, send)
    return sent


def whole_response(client: EngineClient, **sampling: Any) -> Callable[..., Awaitable[None]]:
    """A handler as vLLM's: it finishes with the engine, then answers."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async for _ in client.generate("prompt", params(**sampling), "req"):
            pass
        await send(JSON_START)
        await send({"type": "http.response.body", "body": b"{}", "more_body": False})

    return app


def stream_response(client: EngineClient) -> Callable[..., Awaitable[None]]:
    """A handler as vLLM's: it answers while the engine goes on, in a task of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        outputs = client.generate("prompt", sampling_params=params(), request_id="req")

        async def body() -> None:
            await send(SSE_START)
            async for _ in outputs:
                await send({"type": "http.response.body", "body": b"data: x\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"data: [DONE]\n\n", "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

        await asyncio.create_task(body())

    return app


def header_of(start: dict[str, Any], name: str) -> str | None:
    return next((value.decode() for key, value in start["headers"] if key.decode() == name), None)


async def test_the_headers_go_down_with_the_request() -> None:
    client = EngineClient([None])
    app = ProgramMiddleware(whole_response(client, extra_args={"mine": 1, "autellix": "forged"}))
    await run(app, scope(client, {**CALL.to_headers(), "authorization": "secret"}))
    (extra,) = client.received
    assert extra["mine"] == 1
    assert carried(extra, request="r", policy=CALL.policy).headers == CALL
    assert "authorization" not in json.dumps(extra)


async def test_a_whole_response_gets_the_report_as_a_header() -> None:
    client = EngineClient([a_report(1), a_report(2)])
    start, body = await run(ProgramMiddleware(whole_response(client)), scope(client, CALL.to_headers()))
    assert Report.from_json(header_of(start, REPORT_HEADER) or "") == a_report(2)
    assert header_of(start, "content-type") == "application/json"
    assert body["body"] == b"{}"


async def test_a_stream_gets_the_report_as_its_last_comment() -> None:
    client = EngineClient([a_report(1), a_report(2)])
    sent = await run(ProgramMiddleware(stream_response(client)), scope(client, CALL.to_headers()))
    assert header_of(sent[0], REPORT_HEADER) is None
    body = b"".join(message["body"] for message in sent[1:])
    assert body == b"data: x\n\n" * 2 + b"data: [DONE]\n\n" + a_report(2).to_comment()
    assert [message["more_body"] for message in sent[1:]] == [True, True, True, False]


async def test_nothing_of_ours_is_left_in_an_output() -> None:
    client = EngineClient([a_report(), None])
    await run(ProgramMiddleware(whole_response(client)), scope(client, CALL.to_headers()))
    assert [output.kv_transfer_params for output in client.yielded] == [{"remote": 1}, {"remote": 1}]


@pytest.mark.parametrize("headers", [{}, {"x-autellix-program": "p"}, {"x-autellix-call": "c" * 300}])
async def test_a_call_without_an_id_gets_no_report(headers: dict[str, str]) -> None:
    client = EngineClient([a_report()])
    whole = await run(ProgramMiddleware(whole_response(client)), scope(client, headers))
    assert header_of(whole[0], REPORT_HEADER) is None
    stream = await run(ProgramMiddleware(stream_response(client)), scope(client, headers))
    assert stream[-1]["body"] == b""


async def test_a_call_without_a_measurement_gets_no_report() -> None:
    client = EngineClient([None])
    start, _ = await run(ProgramMiddleware(whole_response(client)), scope(client, CALL.to_headers()))
    assert header_of(start, REPORT_HEADER) is None


async def test_two_layers_are_one() -> None:
    client = EngineClient([a_report()])
    app = ProgramMiddleware(ProgramMiddleware(stream_response(client)))
    for _ in range(2):  # and the client is wrapped once, not once a call
        sent = await run(app, scope(client, CALL.to_headers()))
        assert b"".join(message.get("body", b"") for message in sent).count(b": autellix") == 1
    assert client.closed == 2


async def test_calls_at_the_same_time_keep_apart() -> None:
    client = EngineClient([a_report()])
    app = ProgramMiddleware(whole_response(client))
    calls = [CallHeaders(program=f"p{index}", call=f"c{index}") for index in range(5)]
    await asyncio.gather(*(run(app, scope(client, call.to_headers())) for call in calls))
    read = [carried(extra, request="r", policy=CALL.policy) for extra in client.received]
    assert {each.headers.call for each in read} == {call.call for call in calls}
    assert len({each.exchange for each in read}) == 5


async def test_a_stream_that_is_left_ends_the_engines_work() -> None:
    client = EngineClient([None] * 5)

    async def leaving(scope: Any, receive: Any, send: Any) -> None:
        outputs: Any = client.generate("prompt", params(), "req")
        await anext(outputs)
        await outputs.aclose()

    await run(ProgramMiddleware(leaving), scope(client, CALL.to_headers()))
    assert client.closed == 1


async def test_a_report_that_is_none_is_not_passed_on(caplog: pytest.LogCaptureFixture) -> None:
    client = EngineClient()

    async def garbled(scope: Any, receive: Any, send: Any) -> None:
        async for _ in client.generate("prompt", params(), "req"):
            pass
        await send(JSON_START)

    client.reports = [Report(call="c", service_s=-1.0, wait_s=0.0, level=0)]
    (start,) = await run(ProgramMiddleware(garbled), scope(client, CALL.to_headers()))
    assert header_of(start, REPORT_HEADER) is None
    assert "not what this middleware understands" in caplog.text


async def test_what_is_not_http_passes_through() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope)

    await run(ProgramMiddleware(app), {"type": "lifespan"})
    assert seen == [{"type": "lifespan"}]


class TestState:
    @staticmethod
    async def ask(client: EngineClient | None, method: str = "GET") -> tuple[int, Any]:
        async def never(scope: Any, receive: Any, send: Any) -> None:
            raise AssertionError("the state is not the application's")

        start, body = await run(ProgramMiddleware(never), scope(client, {}, STATE_PATH, method=method))
        assert header_of(start, "content-length") == str(len(body["body"]))
        return start["status"], json.loads(body["body"])

    async def test_it_is_the_schedulers(self) -> None:
        assert await self.ask(EngineClient(state={"waiting": 3})) == (200, {"waiting": 3})

    async def test_it_can_only_be_read(self) -> None:
        status, body = await self.ask(EngineClient(), "POST")
        assert status == 405
        assert "GET" in body["error"]

    async def test_an_engine_that_starts_says_so(self) -> None:
        status, body = await self.ask(None)
        assert status == 503
        assert "starting" in body["error"]

    async def test_an_engine_without_the_scheduler_says_what_is_missing(self) -> None:
        status, body = await self.ask(EngineClient(state=AttributeError("no autellix_snapshot")))
        assert status == 503
        assert "--scheduler-cls" in body["error"]


class TestMetrics:
    @staticmethod
    async def scraped(client: EngineClient) -> dict[str, float]:
        """What vLLM's own /metrics would show of ours after one scrape."""
        registry = CollectorRegistry()
        seen: dict[str, float] = {}

        async def app(scope: Any, receive: Any, send: Any) -> None:
            for metric in registry.collect():
                seen.update({sample.name: sample.value for sample in metric.samples})

        await run(ProgramMiddleware(app, EngineMetrics(registry)), scope(client, {}, "/metrics", method="GET"))
        return seen

    async def test_a_scrape_shows_the_scheduler_as_it_is(self) -> None:
        counts = Counts(demotions=2)
        state = {"levels": [{"waiting": 0, "running": 1}], "counts": counts.to_json()}
        assert (await self.scraped(EngineClient(state=state)))["autellix_engine_demotions_total"] == 2

    async def test_vllms_own_metrics_are_shown_whatever_ours_died_of(self, caplog: pytest.LogCaptureFixture) -> None:
        assert await self.scraped(EngineClient(state=RuntimeError("gone"))) == {}
        assert "no state for its metrics: RuntimeError gone" in caplog.text
