"""The engine model's costs, fitted to measured stretches: of numbers, and of the simulated engine in virtual time."""

import asyncio
import json
from dataclasses import astuple, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.engine import Costs, EngineSettings
from autellix_bench.live import ENCODINGS, CallFailed, Target
from autellix_bench.live.calibration import Fit, Plan, Sample, fitted, measured
from autellix_bench.live.calibration.measuring import Timed, decode
from autellix_bench.server import Knobs, Serving, application
from bench_virtual import AppTransport, virtually

COSTS = Costs(step_s=0.02, prefill_s=0.005, prefill_token_s=1e-4, decode_s=2e-3, context_token_s=1e-6)
SHAPES = [
    *((steps, 1, tokens, 0, tokens * steps) for steps, tokens in ((1, 16), (1, 500), (2, 3000), (3, 6000))),
    *((64, 0, 0, 64 * calls, 64 * calls * context) for calls in (1, 4, 8) for context in (64, 2048)),
]


def told_s(costs: tuple[float, ...], sample: Sample) -> float:
    return sum(cost * count for cost, count in zip(costs, sample.terms, strict=True))


def took(costs: Costs, shape: tuple[int, ...], error: float = 0.0) -> Sample:
    sample = Sample(1.0, *shape)
    return replace(sample, seconds=told_s(astuple(costs), sample) * (1 + error))


@given(st.tuples(*(st.floats(1e-5, 1e-1) for _ in range(5))))
def test_costs_are_found_again_in_the_times_that_they_make(costs: tuple[float, ...]) -> None:
    fit = fitted([took(Costs(*costs), shape) for shape in SHAPES])
    assert fit.worst_error < 1e-6


@given(st.lists(st.floats(-0.2, 0.2), min_size=len(SHAPES), max_size=len(SHAPES)))
def test_no_cost_is_negative_and_none_fits_better_nearby(errors: list[float]) -> None:
    samples = [took(COSTS, shape, error) for shape, error in zip(SHAPES, errors, strict=True)]
    costs = astuple(fitted(samples).costs)
    assert min(costs) >= 0

    def squares(costs: tuple[float, ...]) -> float:
        return sum((told_s(costs, sample) / sample.seconds - 1) ** 2 for sample in samples)

    for index, cost in enumerate(costs):
        for change in (-1e-3 * cost, 1e-3 * cost + 1e-8):
            nearby = (*costs[:index], cost + change, *costs[index + 1 :])
            assert squares(costs) <= squares(nearby) + 1e-9


@pytest.mark.parametrize("samples", [[], [took(COSTS, SHAPES[0])], [took(COSTS, shape) for shape in SHAPES[:2]]])
def test_what_cannot_be_told_apart_is_said(samples: list[Sample]) -> None:
    with pytest.raises(ValueError, match="sample"):
        fitted(samples)


def test_a_fit_is_data_for_a_profile() -> None:
    fit = Fit(COSTS, samples=10, mean_error=0.04, worst_error=0.11)
    written = json.loads(fit.to_json(name="cpu-tiny"))
    assert Costs(**written["costs"]) == COSTS
    assert (written["name"], written["error"]["worst"]) == ("cpu-tiny", 0.11)
    assert fit.sentence() == "Over 10 measurements the fitted costs are 4.0% off in the mean and 11.0% at worst."


def test_events_of_several_tokens_count_as_those() -> None:
    one_by_one = [Timed(100, 9, 0.0, [1.0 + index for index in range(9)])] * 2
    in_pairs = [Timed(100, 9, 0.0, [1.0, 3.0, 5.0, 7.0, 9.0])] * 2
    assert decode(one_by_one) == decode(in_pairs) == Sample(8.0, 8.0, decodes=16, context_tokens=2 * 836)


PLAN = Plan(batches=(1, 2, 4), contexts=(32, 256), prompts=(16, 200, 700), decoded_tokens=24, step_tokens=256)


async def _measured(plan: Plan) -> list[Sample]:
    serving = Serving(Knobs(engine=EngineSettings(slots=4, step_tokens=256, costs=COSTS)), clock=_now)
    target = Target(urls=("http://engine",), model="autellix-sim", encoding=ENCODINGS["simulated"])
    async with serving.running():
        return await measured(target, plan, transport=AppTransport(engine=application(serving)), salt="s")


def _now() -> float:
    return asyncio.get_running_loop().time()


def test_the_simulated_engines_costs_are_measured_from_outside() -> None:
    fit = fitted(virtually(_measured(PLAN)))
    assert fit.worst_error < 1e-6
    assert fit.costs.step_s == pytest.approx(COSTS.step_s, rel=0.05)
    assert fit.costs.prefill_token_s == pytest.approx(COSTS.prefill_token_s, rel=0.05)
    assert fit.costs.decode_s == pytest.approx(COSTS.decode_s, rel=0.1)


def test_a_batch_larger_than_the_engines_is_refused() -> None:
    with pytest.raises(CallFailed, match="never decoded together"):
        virtually(_measured(Plan(batches=(6,), contexts=(32,), prompts=(16,), decoded_tokens=4)))
