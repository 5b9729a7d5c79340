"""The simulator: the paper's example, what must hold under any load and system, and that runs repeat to the byte."""

import io
import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench import records
from autellix_bench.engine import Costs
from autellix_bench.engine.profiles import Profile
from autellix_bench.programs import Program
from autellix_bench.simulation import SYSTEMS, Run, simulate
from autellix_core.levels import Levels
from bench_loads import chain, fan, loads, program, records_of, unit

FIGURE_2 = {"A": (3, 3, 3), "B": (3, 3, 3), "C": (1, 2), "D": (1, 2)}
TWO_QUEUES = Levels(bounds_s=(3.0,), quanta_s=(3.0, math.inf))
COSTS = Costs(step_s=0.9, prefill_token_s=0.013, decode_s=0.07, context_token_s=0.0011, swap_token_s=0.003)
TIGHT = unit(blocks=40, step_tokens=16, host_blocks=12, costs=COSTS)


def run(
    programs: list[Program], system: str, profile: Profile | None = None, *, engines: int = 1, timeline: bool = False
) -> Run:
    profile = profile or unit()
    return simulate(programs, SYSTEMS[system], profile=profile, engines=engines, timeline=timeline)


@pytest.mark.parametrize(
    ("system", "units"), [("fcfs-least", 18), ("vllm-opt", 18), ("mlfq", 18), ("plas", 12), ("atlas", 12)]
)
def test_figure_2(system: str, units: int) -> None:
    programs = [chain(name, *outputs) for name, outputs in FIGURE_2.items()]
    ended = run(programs, system, unit(levels=TWO_QUEUES))
    assert sum(call.wait_s or 0.0 for call in ended.calls) == units


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=25, deadline=None)
@given(programs=loads(), engines=st.integers(1, 3))
def test_whatever_comes_is_answered_once_in_causal_order_and_adds_up(
    system: str, programs: list[Program], engines: int
) -> None:
    ended = run(programs, system, TIGHT, engines=engines, timeline=True)
    asked = {(of.id, call.id): call for of in programs for call in of.calls}
    answered = {(record.program, record.call): record for record in ended.calls}
    assert len(ended.calls) == len(answered)
    assert set(answered) == set(asked)
    for (name, _), record in answered.items():
        call = asked[name, record.call]
        assert (record.output_tokens, record.prompt_tokens) == (call.output_tokens, call.prompt_tokens)
        ready_s = max([answered[name, parent].ended_s for parent in call.parents], default=record.program_arrival_s)
        assert record.due_s == ready_s + call.gap_s
        assert record.first_token_s is not None
        assert record.due_s < record.first_token_s <= record.ended_s
        assert record.service_s is not None
        assert record.wait_s is not None
        in_engine_s = record.service_s + record.wait_s
        if SYSTEMS[system].gate is None:
            assert in_engine_s == pytest.approx(record.ended_s - record.due_s)
        else:
            assert in_engine_s <= record.ended_s - record.due_s + 1e-6
        stays = [stay for stay in ended.stretches if (stay.program, stay.call) == (name, record.call)]
        assert sum(stay.ended_s - stay.began_s for stay in stays) == pytest.approx(record.service_s)
    assert ended.counters["output_tokens"] == sum(call.output_tokens for call in asked.values())
    assert ended.counters["prompt_tokens"] == sum(call.prompt_tokens for call in asked.values())
    assert ended.counters["cached_tokens"] == sum(record.cached_tokens or 0 for record in ended.calls)


@pytest.mark.parametrize("system", SYSTEMS)
@settings(max_examples=5, deadline=None)
@given(programs=loads())
def test_the_same_load_gives_the_same_bytes(system: str, programs: list[Program]) -> None:
    def written() -> str:
        ended = run(programs, system, TIGHT, engines=2)
        to = io.StringIO()
        records.write(ended.calls, to)
        return to.getvalue() + repr(ended.counters)

    assert written() == written()


def test_a_timeline_changes_nothing() -> None:
    programs = [fan(f"p{number}", 5, 9, 3, join=8, arrival_s=number) for number in range(8)]
    plain, drawn = (run(programs, "atlas", TIGHT, engines=2, timeline=drawn) for drawn in (False, True))
    assert (plain.calls, plain.counters) == (drawn.calls, drawn.counters)
    assert not plain.stretches
    assert drawn.stretches


def test_a_demoted_call_goes_on_as_another_stretch() -> None:
    ended = run([chain("long", 15)], "atlas", timeline=True)
    assert [(stay.level, stay.began_s, stay.ended_s) for stay in ended.stretches] == [(0, 0.0, 10.0), (1, 10.0, 15.0)]
    assert ended.stretches[0].engine == "engine-0"


def test_the_seed_says_where_round_robin_begins() -> None:
    programs = [chain(f"p{number}", 2, arrival_s=number) for number in range(3)]
    for seed, first in ((0, "engine-0"), (1, "engine-1")):
        ended = simulate(programs, SYSTEMS["vllm-opt"], profile=unit(), engines=2, seed=seed)
        assert records_of(ended.calls, "p0")["c0"].engine == first
        assert {record.engine for record in ended.calls} == {"engine-0", "engine-1"}


def test_programs_are_taken_as_they_arrive() -> None:
    taken: list[str] = []

    def coming() -> Iterator[Program]:
        for number in range(3):
            taken.append(f"p{number}")
            yield chain(f"p{number}", 3, arrival_s=100.0 * number)

    ended = simulate(coming(), SYSTEMS["atlas"], profile=unit(), engines=1)
    assert [record.program for record in ended.calls] == taken


def test_programs_out_of_order_are_refused() -> None:
    with pytest.raises(ValueError, match="sort them by arrival"):
        run([chain("late", 1, arrival_s=5.0), chain("early", 1)], "atlas")


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="needs an id of its own"):
        run([chain("p", 5), chain("p", 5)], "atlas")


def test_no_programs_leave_nothing() -> None:
    ended = run([], "atlas")
    assert ended.calls == []
    assert ended.counters["peak_calls"] == 0


def test_beta_is_a_variant_of_a_system() -> None:
    starving = [
        chain("long", 60),
        program("other", *chain("x", 60, 60).calls),
        *(chain(f"short{number}", 8, arrival_s=11.0 + 4 * number) for number in range(40)),
    ]
    longest = {}
    for beta in (None, 0.5):
        ended = simulate(starving, replace(SYSTEMS["atlas"], beta=beta), profile=unit(slots=1), engines=1)
        longest[beta] = records_of(ended.calls, "long")["c0"].ended_s
    assert longest[0.5] < longest[None]
