"""The demonstration's runs and tables, on recorded sessions and against a gateway that answers at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console, RenderableType

from autellix import errors
from autellix.demo import comparison, tables, trials, workloads
from autellix.demo.agents import Place
from autellix_core.latency import Span
from client_gateway import Gateway, a_session, running_gateway

ENGINES = {"127.0.0.1:41001": "1", "127.0.0.1:41002": "2"}
LOAD = workloads.sample(3, seed=3)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running


def text(shown: RenderableType, width: int = 100) -> str:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(shown)
    return captured.get()


def recorded(system: trials.System, factor: float) -> trials.Trial:
    outcomes = []
    for index, program in enumerate(LOAD, start=1):
        session: Any = a_session(
            f"ses_{index}",
            state="ended",
            calls=program.calls,
            prompt_tokens=2000 * index,
            output_tokens=100,
            wait_seconds=factor * index,
            service_seconds=1.25,
            critical_path_seconds=1.125,
            level=3,
            engines=list(reversed(ENGINES)),
        )
        outcomes.append(trials.Outcome(program, (Span(0.0, factor * index, 100),), session))
    return trials.Trial(system, tuple(outcomes), 20.0)


OURS, THEIRS = recorded(comparison.AUTELLIX, 1.0), recorded(comparison.BASELINE, 1.5)


def row(shown: str, name: str) -> str:
    return next(" ".join(line.split()) for line in shown.splitlines() if line.strip().startswith(name))


def test_a_trials_table_has_what_the_engines_measured_and_what_the_program_saw() -> None:
    shown = text(tables.trial(OURS, ENGINES))
    assert "Autellix (ATLAS, local placement)" in shown
    name, calls = LOAD[1].name, LOAD[1].calls
    assert row(shown, name) == f"{name} {calls} 4.0k / 100 2.00 1.25 1.12 3 1, 2 20.0"


def test_both_systems_stand_side_by_side_with_their_mean_and_p95() -> None:
    shown = text(tables.comparison(OURS, THEIRS))
    assert row(shown, LOAD[0].name) == f"{LOAD[0].name} 100 1.00 1.50 10.0 15.0 1.50x"
    assert row(shown, "mean") == "mean 20.0 30.0 1.50x"
    assert row(shown, "P95") == "P95 30.0 45.0 1.50x"


@pytest.mark.parametrize(("theirs", "ratio"), [(1.5, "1.50x"), (0.5, "0.50x")])
def test_the_summary_says_how_it_came_out_either_way(theirs: float, ratio: str) -> None:
    said = tables.summary(OURS, recorded(comparison.BASELINE, theirs))
    assert said.startswith("Program token latency, Autellix (ATLAS, local placement) against FCFS + round robin: ")
    assert f"mean 20.0 against {20 * theirs:.1f} ms per token ({ratio})" in said
    assert f"P95 30.0 against {30 * theirs:.1f} ms per token ({ratio})" in said


@pytest.mark.parametrize("table", ["trial", "comparison", "live"])
def test_every_table_fits_100_columns_uncut(table: str) -> None:
    load = workloads.sample(12, seed=7)
    big: Any = a_session(
        state="active",
        active_calls=8,
        calls=16,
        prompt_tokens=123_456,
        output_tokens=12_345,
        wait_seconds=98.76,
        service_seconds=98.76,
        critical_path_seconds=98.76,
        level=9,
        engines=list(ENGINES),
    )
    outcomes = tuple(trials.Outcome(program, (Span(0.0, 99.0, 1),), big) for program in load)
    ours = trials.Trial(comparison.AUTELLIX, outcomes, 99.0)
    look = trials.Look(comparison.AUTELLIX, 99.0, tuple((program, big) for program in load))
    shown = {
        "trial": tables.trial(ours, ENGINES),
        "comparison": tables.comparison(ours, replace(ours, system=comparison.BASELINE)),
        "live": tables.live(look, ENGINES),
    }[table]
    assert "…" not in text(shown, 100)


def test_the_live_table_counts_programs_in() -> None:
    session: Any = a_session(state="active", calls=2, active_calls=1)
    late = replace(LOAD[1], arrival_s=4.0)
    look = trials.Look(comparison.AUTELLIX, 1.5, ((LOAD[0], session), (late, None)))
    shown = text(tables.live(look, ENGINES))
    assert f"active 2/{LOAD[0].calls} 1" in row(shown, LOAD[0].name)
    assert row(shown, late.name) == f"{late.name} in 2.5 s"
    assert tables.line(look) == "  1.5 s   1 programs open,  0 ended,  1 calls under way,      0 tokens out"


async def test_a_trial_runs_every_program_in_a_session_of_its_own(gateway: Gateway) -> None:
    load = tuple(replace(program, arrival_s=0.0) for program in LOAD)
    looks: list[trials.Look] = []
    checks: list[int] = []
    place = Place(gateway.base_url, "autellix-tiny", "Run A.")
    trial = await trials.run(comparison.AUTELLIX, load, place, watch=looks.append, check=lambda: checks.append(1))
    assert [outcome.program for outcome in trial.outcomes] == list(load)
    assert len({outcome.session["id"] for outcome in trial.outcomes}) == 3
    for outcome in trial.outcomes:
        assert outcome.session["state"] == "ended"
        assert outcome.session["calls"] == outcome.program.calls == len(outcome.calls)
        assert sum(call.output_tokens for call in outcome.calls) == 5 * outcome.program.calls
    asked = gateway.asked("POST", "/v1/chat/completions")
    assert all(request.body["messages"][0]["content"].startswith("Run A. ") for request in asked)
    limits = sorted(request.body["max_tokens"] for request in asked)
    assert limits == sorted(ask.answer_tokens for p in load for round_ in p.rounds for ask in round_.asks)
    assert looks[-1].rows[0][1] is not None
    assert len(checks) == len(looks)


async def test_a_history_grows_by_what_was_asked_and_answered(gateway: Gateway) -> None:
    asks = (workloads.Ask(30, 8),)
    program = workloads.Program(
        "chat", workloads.Shape.CHAT, 0.0, 50, (workloads.Round(asks), workloads.Round(asks * 2), workloads.Round(asks))
    )
    place = Place(gateway.base_url, "autellix-tiny", "Run A.")
    await trials.run(comparison.AUTELLIX, [program], place, watch=lambda look: None, check=lambda: None)
    bodies = [request.body["messages"] for request in gateway.asked("POST", "/v1/chat/completions")]
    assert [len(messages) for messages in bodies] == [2, 4, 4, 8]
    assert bodies[1][:-1] == bodies[2][:-1]
    assert [message["role"] for message in bodies[3]] == ["system", *["user", "assistant"] * 3, "user"]


async def test_a_program_that_is_refused_fails_the_trial_with_a_sentence_and_ends_all_sessions(
    gateway: Gateway,
) -> None:
    refusal = {"error": {"message": "The model does not exist.", "code": "model_not_found"}}
    gateway.refusals["POST /v1/chat/completions"] = (404, refusal)
    place = Place(gateway.base_url, "no-such-model", "Run A.")
    with pytest.raises(errors.ProgramFailed, match=r"The program '\d\d .*' failed: .*The model does not exist"):
        await trials.run(comparison.AUTELLIX, LOAD, place, watch=lambda look: None, check=lambda: None)
    assert {session["state"] for session in gateway.sessions.values()} == {"ended"}


async def test_a_broken_stack_fails_the_trial(gateway: Gateway) -> None:
    def broken() -> None:
        raise errors.PartEnded("Engine 1 ended by itself (status 137).", part="engine 1")

    place = Place(gateway.base_url, "autellix-tiny", "Run A.")
    with pytest.raises(errors.PartEnded):
        await trials.run(comparison.AUTELLIX, LOAD, place, watch=lambda look: None, check=broken)
