"""The live driver over loopback: on the simulated engine, through the gateway, and against engines that break."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from autellix_bench import records
from autellix_bench.engine import Costs, EngineSettings
from autellix_bench.live import ENCODINGS, Api, Drive, HttpTransport, Sessions, Target, drive
from autellix_bench.live.calibration import Plan, fitted, measured
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.records import CallRecord
from autellix_bench.server import FailureKind, Knobs, Serving, application
from autellix_core.wire import CALL_HEADER, STATE_PATH
from eventually import eventually
from gateway_fixtures import redis_for_gateways
from gateways import gateway
from real_engine import MODEL, RealEngine
from redis_server import RedisServer
from scripted_engine import abrupt_engine, served

__all__ = ["redis_for_gateways"]

FAST = Knobs(engine=EngineSettings(slots=8, costs=Costs(step_s=0.001)))


@asynccontextmanager
async def engine(**knobs: Any) -> AsyncIterator[str]:
    async with served(application(Serving(replace(FAST, **knobs)))) as url:
        yield url


def on(*urls: str, **more: Any) -> Target:
    return Target(urls=urls, model="autellix-sim", **more)


def tree(name: str, arrival_s: float = 0.0) -> Program:
    """A call, two that follow at once, and one that waits for both and holds all answers."""
    root = (Segment("shared/system", 64), Segment("question", 40))
    left, right = ((*root, Segment("a", 12, answer=True), Segment(side, 24)) for side in ("left", "right"))
    last = (*left, Segment("b", 30, answer=True), Segment("c", 5, answer=True), Segment("join", 24))
    calls = (
        Call("a", root, 12),
        Call("b", left, 30, ("a",), gap_s=0.01),
        Call("c", right, 5, ("a",)),
        Call("d", last, 8, ("b", "c"), gap_s=0.02),
    )
    return Program(name, "tree", arrival_s, calls)


def trees(count: int) -> list[Program]:
    return [tree(f"p{number}", 0.01 * number) for number in range(count)]


async def driven(programs: list[Program], target: Target) -> tuple[Drive, list[CallRecord]]:
    file = io.StringIO()
    run = await drive(programs, target, record=lambda record: records.write([record], file))
    return run, list(records.read(file.getvalue().splitlines()))


def is_causal(program: Program, of_program: dict[str, CallRecord]) -> bool:
    """Each call was due when the last it waits for had ended, and sent no earlier."""
    return all(
        of_program[call.id].sent_s
        >= of_program[call.id].due_s
        == call.gap_s + max((of_program[parent].ended_s for parent in call.parents), default=program.arrival_s)
        for call in program.calls
    )


@pytest.mark.parametrize("api", Api)
async def test_programs_keep_their_order_and_their_lengths(api: Api) -> None:
    programs = trees(20)
    async with engine() as url:
        run, calls = await driven(programs, on(url, api=api))
    assert (run.calls, run.failed, len(run.programs)) == (80, 0, 20)
    for program in programs:
        found = {record.call: record for record in calls if record.program == program.id}
        assert is_causal(program, found)
        for call in program.calls:
            record = found[call.id]
            assert (record.prompt_tokens, record.output_tokens) == (call.prompt_tokens, call.output_tokens)
            assert record.first_token_s is not None
            assert record.sent_s < record.first_token_s <= record.ended_s
    slips = [record.sent_s - record.due_s for record in calls]
    assert run.slip_mean_s == pytest.approx(sum(slips) / len(slips))


@pytest.mark.parametrize("api", Api)
async def test_on_vllm_the_tiny_models_prompts_have_their_lengths(first_engine: RealEngine, api: Api) -> None:
    target = Target(
        urls=(first_engine.url,), model=MODEL, api=api, encoding=ENCODINGS["byte"], headers={CALL_HEADER: "c"}
    )
    program = tree("p")
    run, calls = await driven([program], target)
    assert run.failed == 0, [record.error for record in calls]
    found = {record.call: record for record in calls}
    for call in program.calls:
        assert (found[call.id].prompt_tokens, found[call.id].output_tokens) == (call.prompt_tokens, call.output_tokens)
    # The engine knows again what it wrote itself: the answer is in the later prompt as it was.
    assert (found["d"].cached_tokens or 0) > found["b"].prompt_tokens


async def test_several_engines_get_calls_in_turn() -> None:
    async with engine() as one, engine() as other:
        _, calls = await driven(trees(4), on(one, other))
    assert sorted(record.engine or "" for record in calls) == sorted([one[7:], other[7:]] * 8)


@pytest.mark.parametrize("streams", [True, False])
async def test_through_the_gateway_each_program_is_one_session(redis_for_gateways: RedisServer, streams: bool) -> None:
    async with engine() as one, engine() as other, gateway(redis_for_gateways.url, one, other, pool="live") as ours:
        await eventually(lambda: _ready(ours.http, 2), "both engines were ready")
        run, calls = await driven(trees(5), on(ours.url, told=Sessions(), streams=streams))
        sessions = (await ours.http.get("/v1/sessions")).json()["data"]
    assert (run.failed, run.sessions_left, run.calls) == (0, 0, 20)
    recent = sorted(sessions, key=lambda session: str(session["created_at"]))[-5:]
    assert [(session["state"], session["calls"]) for session in recent] == [("ended", 4)] * 5
    assert {record.engine for record in calls} <= {one[7:], other[7:]}
    assert all(record.level is not None for record in calls)
    assert all((record.service_s is None) is streams for record in calls)


async def _ready(http: httpx2.AsyncClient, engines: int) -> bool:
    known = (await http.get("/readyz")).json()["engines"].values()
    return [engine["up"] for engine in known] == [True] * engines


@pytest.mark.parametrize("kind", FailureKind)
async def test_calls_that_fail_are_in_the_records(kind: FailureKind) -> None:
    async with engine(failure_rate=0.15, failure_kind=kind, seed=5) as url:
        run, calls = await driven(trees(20), on(url, **({"timeout_s": 1.0} if kind is FailureKind.HANG else {})))
        async with httpx2.AsyncClient(base_url=url) as http:
            await eventually(lambda: _idle(http), "the engine gave up every call that the driver had left")
    failed = {record.program for record in calls if record.error is not None}
    assert 0 < run.failed == len(failed) < 20
    for program in failed:
        errors = [record.error or "" for record in calls if record.program == program]
        words = {FailureKind.ERROR: "Status 500", FailureKind.CUT: "broke off", FailureKind.HANG: "longer than 1 s"}
        assert any(words[kind] in error for error in errors)
    whole = [record.program for record in calls if record.program not in failed]
    assert len(whole) == 4 * (20 - run.failed)


async def _idle(http: httpx2.AsyncClient) -> bool:
    state = (await http.get(STATE_PATH)).json()
    return not state["running"] and not state["waiting"]


async def test_an_engine_that_is_away_or_abrupt_fails_calls_and_not_the_run() -> None:
    async with abrupt_engine() as url:
        run, [record] = await driven(trees(1), on(url))
    assert run.failed == 1
    assert record.error is not None
    assert "cannot be reached" in record.error
    run, [record] = await driven(trees(1), on(url))
    assert record.error is not None
    assert "cannot be reached" in record.error


async def test_a_cancelled_run_aborts_its_calls() -> None:
    calls: list[CallRecord] = []
    slow = Program("p", "slow", 0.0, (Call("a", (Segment("q", 16),), 20_000),))
    async with engine() as url, httpx2.AsyncClient(base_url=url) as http:
        driving = asyncio.create_task(drive([slow], on(url), record=calls.append))
        await eventually(lambda: _busy(http), "the call ran")
        assert [task for task in asyncio.all_tasks() if "autellix_bench/live" in repr(task)] != []
        driving.cancel()
        await asyncio.wait((driving,))
        assert driving.cancelled()
        await eventually(lambda: _idle(http), "the engine gave the call up")
        assert [task for task in asyncio.all_tasks() if "autellix_bench/live" in repr(task)] == []
    assert [record.error for record in calls] == ["Given up, because the run was cancelled."]


async def _busy(http: httpx2.AsyncClient) -> bool:
    return bool((await http.get(STATE_PATH)).json()["running"])


async def test_an_engine_is_measured_over_http() -> None:
    plan = Plan(batches=(1, 4), contexts=(16, 256), prompts=(16, 256), decoded_tokens=12, repeats=2)
    async with engine() as url, HttpTransport() as transport:
        samples = await measured(on(url, encoding=ENCODINGS["simulated"]), plan, transport=transport)
    assert len(samples) == 6
    assert fitted(samples).samples == 6
