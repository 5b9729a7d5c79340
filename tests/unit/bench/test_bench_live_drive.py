"""The live driver in virtual time: on the simulated engine, and on a gateway that keeps books."""

import asyncio
import gc
import io
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from autellix_bench.engine import Costs, EngineSettings
from autellix_bench.live import Api, Drive, InBody, InHeader, Sessions, Tally, Target, drive, progress
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.records import CallRecord
from autellix_bench.server import FailureKind, Knobs, Serving, application
from autellix_core.wire import CALL_HEADER, SESSION_HEADER
from bench_gateway import FAILS, HANGS, BookedGateway
from bench_virtual import AppTransport, VirtualLoop, virtually

STEP_S = 0.01
KNOBS = Knobs(engine=EngineSettings(slots=4, costs=Costs(step_s=STEP_S)))
ENGINE = Target(urls=("http://engine",), model="autellix-sim")
GATEWAY = Target(urls=("http://gateway",), model="m", streams=False)


def call(name: str, tokens: int, *parents: str, gap_s: float = 0.0, prompt: Iterable[Segment] = ()) -> Call:
    return Call(name, tuple(prompt) or (Segment(name, 16),), tokens, parents, gap_s)


def program(*calls: Call, name: str = "p", arrival_s: float = 0.0) -> Program:
    return Program(name, "chat", arrival_s, calls)


async def on_engine(
    programs: Iterable[Program], knobs: Knobs = KNOBS, target: Target = ENGINE, **more: Any
) -> tuple[Drive, dict[str, CallRecord]]:
    serving = Serving(knobs, clock=asyncio.get_running_loop().time)
    records: list[CallRecord] = []
    async with serving.running():
        transport = AppTransport(engine=application(serving), other=application(serving))
        driven = await drive(programs, target, record=records.append, salt="s", transport=transport, **more)
    assert len(serving.model) == 0
    return driven, {f"{record.program}/{record.call}": record for record in records}


def on_gateway(gateway: BookedGateway, *programs: Program, target: Target = GATEWAY) -> tuple[Drive, list[CallRecord]]:
    records: list[CallRecord] = []
    transport = AppTransport(gateway=gateway.app, second=gateway.app)
    driven = virtually(drive(programs, target, record=records.append, salt="s", transport=transport))
    assert transport.open == 0
    return driven, records


def test_programs_arrive_on_schedule_however_slow_the_answers_are() -> None:
    one_by_one = replace(KNOBS, engine=replace(KNOBS.engine, slots=1))
    arrivals = [0.0, 0.5, 0.75]
    programs = [program(call("c", 300), name=f"p{at}", arrival_s=at) for at in arrivals]
    driven, records = virtually(on_engine(programs, one_by_one))
    assert sorted(record.sent_s for record in records.values()) == arrivals
    assert sorted(record.due_s for record in records.values()) == arrivals
    assert max(record.ended_s for record in records.values()) > 8.9
    assert (driven.slip_mean_s, driven.slip_share, driven.valid) == (0.0, 0.0, True)


def test_a_call_is_sent_after_all_that_it_waits_for_and_its_gap() -> None:
    calls = (
        call("a", 10),
        call("b", 5, "a", gap_s=0.5),
        call("c", 50, "a"),
        call("d", 5, "b", "c", gap_s=0.25),
        call("late", 5, gap_s=3.0),
    )
    _, records = virtually(on_engine([program(*calls, arrival_s=2.0)]))
    a, b, c, d, late = (records[f"p/{each.id}"] for each in calls)
    assert (a.due_s, late.due_s) == (2.0, 5.0)
    assert (b.due_s, c.due_s) == (a.ended_s + 0.5, a.ended_s)
    assert d.due_s == max(b.ended_s, c.ended_s) + 0.25
    assert all(record.sent_s == pytest.approx(record.due_s) for record in records.values())
    assert a.first_token_s == pytest.approx(2.0 + STEP_S)
    assert a.ended_s == pytest.approx(2.0 + 10 * STEP_S)


@pytest.mark.parametrize("api", Api)
@pytest.mark.parametrize("streams", [True, False])
def test_prompts_have_their_lengths_and_hold_the_answers_before(api: Api, streams: bool) -> None:
    first = [Segment("shared/system", 32), Segment("q", 32)]
    second = [*first, Segment("a", 31, answer=True), Segment("r", 16)]
    target = replace(ENGINE, api=api, streams=streams, headers={CALL_HEADER: "c"})
    _, records = virtually(
        on_engine([program(call("a", 31, prompt=first), call("b", 9, "a", prompt=second))], target=target)
    )
    a, b = records["p/a"], records["p/b"]
    assert (a.prompt_tokens, a.output_tokens) == (64, 31)
    assert (b.prompt_tokens, b.output_tokens) == (111, 9)
    assert (b.first_token_s is None) is not streams
    assert (b.level, b.preemptions, b.wait_s) == (0, 0, 0.0)
    assert b.service_s == pytest.approx(9 * STEP_S)
    assert b.cached_tokens == 80  # the engine knows the earlier call's prompt and answer again


def test_the_answer_that_a_call_got_is_in_the_prompts_after_it() -> None:
    gateway = BookedGateway()
    answered = [Segment("q", 4), Segment("a", 3, answer=True), Segment("r", 4)]
    on_gateway(gateway, program(call("a", 3, prompt=answered[:1]), call("b", 3, "a", prompt=answered)))
    first, second = (given["prompt"] for _, given in gateway.asked)
    assert len(first) == 16
    assert second.startswith(first + "word word wo")  # three tokens of four bytes
    assert len(second) == 44


def test_what_the_driver_itself_took_is_the_slip() -> None:
    def busy(_: CallRecord) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.busy(0.02)

    async def run() -> Drive:
        serving = Serving(KNOBS, clock=asyncio.get_running_loop().time)
        async with serving.running():
            chain = program(call("a", 10), call("b", 10, "a"))
            return await drive([chain], ENGINE, record=busy, transport=AppTransport(engine=application(serving)))

    driven = virtually(run())
    assert driven.slip_mean_s == pytest.approx(0.01)  # the first call was in time, the second 20 ms late
    assert driven.slip_p99_s == pytest.approx(0.02)
    assert driven.slip_share == pytest.approx(0.01 / 0.11)
    assert not driven.valid
    assert driven.sentences()[-1].startswith("This run is invalid: more than 5% of the calls' time was the driver's")
    assert driven.params["valid"] == "no"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (FailureKind.ERROR, "Status 500: .*chosen to fail"),
        (FailureKind.CUT, "broke off"),
        (FailureKind.HANG, "longer than 5 s"),
    ],
)
def test_a_failed_call_is_recorded_and_ends_its_program(kind: FailureKind, said: str) -> None:
    failing = replace(KNOBS, failure_rate=1.0, failure_kind=kind)
    programs = [program(call("a", 10), call("b", 10, "a"), name=name) for name in ("p", "q")]
    driven, records = virtually(on_engine(programs, failing, replace(ENGINE, timeout_s=5.0)))
    assert set(records) == {"p/a", "q/a"}
    for record in records.values():
        assert re.search(said, record.error or "")
    assert (driven.failed, [each.failed for each in driven.programs]) == (2, [True, True])
    assert driven.sentences()[-1] == "This run is invalid: no call was answered. The records say why."
    if kind is FailureKind.CUT:
        assert records["p/a"].output_tokens == 6  # half of it, and what was under way


def test_a_target_that_is_away_fails_calls_and_not_the_run() -> None:
    driven, records = virtually(on_engine([program(call("a", 10))], target=replace(ENGINE, urls=("http://nowhere",))))
    assert records["p/a"].error == "http://nowhere/v1/completions gave no answer."
    assert driven.failed == 1


def test_calls_beside_a_failed_one_are_given_up_and_recorded() -> None:
    gateway = BookedGateway()
    driven, records = on_gateway(gateway, program(call("a", FAILS), call("b", HANGS), call("never", 5, gap_s=9.0)))
    errors = {record.call: record.error for record in records}
    assert errors == {
        "a": "Status 503: the engine is gone",
        "b": "Given up, because another call of its program failed.",
    }
    assert (driven.calls, driven.failed) == (2, 1)
    assert driven.wall_s == pytest.approx(0.1)


def test_a_program_has_one_session_from_its_first_call_to_its_end() -> None:
    gateway = BookedGateway()
    chain = (call("a", 3), call("beside", 3), call("b", 3, "a"))
    target = replace(GATEWAY, told=Sessions())
    driven, _ = on_gateway(gateway, program(*chain), program(call("a", FAILS), name="q", arrival_s=5.0), target=target)
    tokens = [headers[SESSION_HEADER] for headers, _ in gateway.asked]
    assert tokens == ["token of s0"] * 3 + ["token of s1"]
    assert gateway.sessions == {"s0": "ended", "s1": "ended"}
    assert driven.sessions_left == 0


def test_a_session_that_cannot_be_had_or_ended_is_told() -> None:
    target = replace(GATEWAY, told=Sessions())
    driven, [record] = on_gateway(BookedGateway(opens=False), program(call("a", 3)), target=target)
    assert (driven.failed, record.output_tokens) == (1, 0)
    assert record.error is not None
    assert record.error.startswith("No session could be opened; status 429: ")
    driven, [record] = on_gateway(BookedGateway(ends=False), program(call("a", 3)), target=target)
    assert (driven.failed, record.error) == (0, None)
    assert driven.sentences()[-1] == "1 sessions could not be ended; they are left to expire."


def test_a_program_is_told_in_a_header_or_in_the_body() -> None:
    gateway = BookedGateway()
    on_gateway(gateway, program(call("a", 3)), target=replace(GATEWAY, told=InHeader("x-session-id")))
    hint = InBody({"agent_hint": {"session_id": "{program}", "turns": [1, "{workload} {call}"]}})
    on_gateway(gateway, program(call("a", 3)), target=replace(GATEWAY, told=hint, fields={"user": "u"}))
    on_gateway(gateway, program(call("a", 3)))
    (headers, _), (_, body), (no_headers, no_body) = gateway.asked
    assert headers["x-session-id"] == "s-p"
    assert body["agent_hint"] == {"session_id": "s-p", "turns": [1, "chat a"]}
    assert body["user"] == "u"
    assert "x-session-id" not in no_headers
    assert set(no_body) == {"model", "prompt", "max_tokens", "ignore_eos", "temperature"}


def test_several_urls_get_calls_in_turn() -> None:
    gateway = BookedGateway()
    chain = program(call("a", 3), call("b", 3, "a"), call("c", 3, "b"))
    _, records = on_gateway(gateway, chain, target=replace(GATEWAY, urls=("http://gateway", "http://second")))
    assert [record.engine for record in records] == ["gateway", "second", "gateway"]


def test_a_program_that_waits_for_what_it_does_not_have_stops_the_run() -> None:
    with pytest.raises(ExceptionGroup) as stopped:
        on_gateway(BookedGateway(), program(call("a", 3, "b"), call("b", 3)))
    assert stopped.group_contains(ValueError, match="call a waits for b, which is not before it")


@pytest.mark.parametrize("urls", [(), ("http://engine/v1",)])
def test_a_wrong_target_is_a_sentence(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="A target"):
        Target(urls=urls, model="m")


def test_a_cancelled_run_leaves_records_and_nothing_running() -> None:
    gateway, records = BookedGateway(), list[CallRecord]()
    transport = AppTransport(gateway=gateway.app)
    programs = [program(call("a", 3), call("b", HANGS, "a"), name="p"), program(call("a", 3), arrival_s=9.0)]

    async def run() -> None:
        target = replace(GATEWAY, told=Sessions())
        driving = asyncio.create_task(drive(programs, target, record=records.append, transport=transport))
        await asyncio.sleep(1.0)
        driving.cancel()
        await asyncio.wait((driving,))
        assert driving.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    virtually(run())
    assert [(record.call, record.error) for record in records] == [
        ("a", None),
        ("b", "Given up, because the run was cancelled."),
    ]
    assert gateway.sessions == {"s0": "ended"}
    assert transport.open == 0


def test_finished_programs_are_let_go() -> None:
    alive = list[int]()

    def watch(tally: Tally) -> None:
        if tally.arrived % 500 == 0 and len(tally.programs) == tally.arrived:
            gc.collect()
            alive.append(sum(isinstance(each, Program | Call | CallRecord) for each in gc.get_objects()))

    def programs() -> Iterator[Program]:
        for number in range(2000):
            yield program(call("a", 1), name=str(number), arrival_s=float(number))

    driven, _ = virtually(_without_records(programs(), watch))
    assert len(driven.programs) == 2000
    assert len(alive) == 4
    assert max(alive) <= min(alive) + 10


async def _without_records(programs: Iterator[Program], watch: Callable[[Tally], None]) -> tuple[Drive, None]:
    serving = Serving(KNOBS, clock=asyncio.get_running_loop().time)
    async with serving.running():
        transport = AppTransport(engine=application(serving))
        return await drive(programs, ENGINE, watch=watch, transport=transport), None


def test_a_run_is_its_programs_and_sentences() -> None:
    programs = [program(call("a", 10), name=name, arrival_s=at) for name, at in (("p", 0.0), ("q", 1.0))]
    driven, _ = virtually(on_engine(programs))
    assert [each.token_latency_s for each in driven.programs] == pytest.approx([STEP_S, STEP_S])
    assert driven.params["slip_share"] == 0.0
    sent, cpu, slip = driven.sentences()
    assert sent == "2 programs sent 2 calls in 1.1 s; 0 programs failed."
    assert cpu.startswith("The driver took ")
    assert slip.endswith("0.00% of the 100 ms that an answer took.")


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_for_terminals(terminal: bool) -> None:
    shown = io.StringIO()
    with progress(2, title="ours", console=Console(file=shown, force_terminal=terminal, width=100)) as watch:
        virtually(on_engine([program(call("a", 1)), program(call("a", 1), name="q")], watch=watch))
    assert ("2/2" in shown.getvalue()) is terminal
    assert ("ours" in shown.getvalue()) is terminal
