"""Profiles are possible engines, and costs are found again in what they cost."""

import random
from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench.engine import Costs, Load
from autellix_bench.engine.fitting import Sample, fitted
from autellix_bench.engine.profiles import PROFILES
from autellix_bench.programs import Call, Segment
from autellix_bench.simulation import SYSTEMS, simulate
from bench_loads import program


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_says_where_it_is_from(name: str) -> None:
    profile = PROFILES[name]
    assert profile.name == name
    assert len(profile.source) > 80
    assert profile.engine.longest_tokens > 32_768
    assert profile.engine.host_blocks < profile.engine.blocks or name == "cpu-tiny"


def test_the_8b_profile_is_where_published_figures_are() -> None:
    engine = PROFILES["a100-llama-3.1-8b"].engine
    alone_s = engine.costs.of(Load(decodes=1, context_tokens=1000))
    full_s = engine.costs.of(Load(decodes=256, context_tokens=256 * 600))
    assert 90 < 1 / alone_s < 100
    assert 5_400 < 256 / full_s < 6_000
    assert 400_000 < engine.longest_tokens < 430_000


@pytest.mark.parametrize(
    ("name", "requests", "prompt", "output", "rate"),
    [("a100-llama-3.1-8b", 1000, 246, 220, 14.7), ("4xa100-llama-3.1-70b", 200, 213, 218, 4.6)],
)
def test_the_checks_that_sources_name_are_what_comes(
    name: str, requests: int, prompt: int, output: int, rate: float
) -> None:
    chance = random.Random(1)

    def tokens(mean: int) -> int:
        return max(4, int(chance.expovariate(1 / mean)))

    programs = [
        program(f"p{number}", Call("c", (Segment("q", tokens(prompt)),), tokens(output))) for number in range(requests)
    ]
    ended = simulate(programs, SYSTEMS["vllm"], profile=PROFILES[name], engines=1)
    assert requests / max(record.ended_s for record in ended.calls) == pytest.approx(rate, rel=0.02)


def test_larger_models_are_slower_and_swap_less_than_they_compute() -> None:
    small, large, largest = (PROFILES[name].engine.costs for name in list(PROFILES)[:3])
    assert small.step_s < large.step_s < largest.step_s
    assert small.prefill_token_s < large.prefill_token_s < largest.prefill_token_s
    for costs in (small, large, largest):
        assert 0 < costs.swap_token_s < costs.prefill_token_s / 4


def test_the_tiny_models_costs_agree_with_steps_that_were_timed_apart_from_the_calibration() -> None:
    costs = PROFILES["cpu-tiny"].engine.costs
    assert costs.of(Load(decodes=1)) == pytest.approx(1 / 574, rel=0.1)
    assert costs.of(Load(decodes=16)) == pytest.approx(0.0036, rel=0.1)
    assert costs.of(Load(prefills_begun=1, prefill_tokens=512)) == pytest.approx(0.017, rel=0.1)
    assert costs.of(Load(prefills_begun=1, prefill_tokens=2048)) == pytest.approx(0.060, rel=0.25)


LOADS = [
    Load(prefill, begun, decodes, context, swapped)
    for prefill, begun in [(0, 0), (512, 1), (900, 3)]
    for decodes in (0, 1, 16, 64)
    for context in (decodes * 100, decodes * 900 + prefill)
    for swapped in (0, 300)
]
TERM = st.one_of(st.just(0.0), st.floats(1e-6, 1e-3))


def took(load: Load, seconds: float) -> Sample:
    return Sample(seconds, **asdict(load))


@settings(deadline=None)
@given(st.floats(1e-3, 0.05), TERM, TERM, TERM, TERM, TERM)
def test_costs_are_found_again(
    step_s: float, prefill_s: float, prefill_token_s: float, decode_s: float, context_token_s: float, swap_s: float
) -> None:
    costs = Costs(step_s, prefill_s, prefill_token_s, decode_s, context_token_s, swap_s)
    found = fitted([took(load, costs.of(load)) for load in LOADS]).costs
    for load in LOADS:
        assert found.of(load) == pytest.approx(costs.of(load), rel=1e-6)


def test_noise_leaves_no_negative_cost() -> None:
    chance = random.Random(7)
    costs = Costs(step_s=0.01, decode_s=0.0001)
    found = fitted([took(load, costs.of(load) * chance.uniform(0.7, 1.3)) for load in LOADS]).costs
    assert found.step_s == pytest.approx(0.01, rel=0.2)
    assert min(found.prefill_token_s, found.context_token_s, found.swap_token_s) >= 0


def test_what_was_never_in_an_iteration_costs_nothing() -> None:
    samples = [Sample(0.01 + count * 0.001, decodes=count) for count in (1, 2, 3)]
    assert fitted(samples).costs.prefill_token_s == 0.0
