"""What points say side by side: known answers on curves made for them, and what must hold on any."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench import curves
from autellix_bench.curves import Bound, Curve, Measure, Target
from autellix_bench.points import Point
from bench_points import a_point, curve

LATENCIES = st.floats(min_value=1e-3, max_value=1e3)
KNOTS = st.lists(LATENCIES, min_size=1, max_size=8).map(lambda found: tuple(enumerate(map(float, found), start=1)))


def a_curve(*knots: tuple[float, float], system: str = "atlas", seed: int = 0, engines: int = 1) -> Curve:
    return Curve("latency", "mixed", "made-up", engines, system, seed, Measure.MEAN, knots)


def swept(system: str, capacity: float, seed: int, *, engines: int = 1) -> list[Point]:
    rates = [0.1 * step for step in range(1, 40)]
    return [
        a_point(system=system, rate=rate, seed=seed, engines=engines, mean_s=curve(capacity, rate)) for rate in rates
    ]


@pytest.mark.parametrize(
    ("freedom", "expected"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (120, 1.980)]
)
def test_the_t_quantile_is_that_of_the_tables(freedom: int, expected: float) -> None:
    assert curves.t_quantile(0.95, freedom) == pytest.approx(expected, abs=5e-4)


def test_a_t_quantile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 degree"):
        curves.t_quantile(0.95, 0)


def test_an_interval_over_five_seeds() -> None:
    found = curves.mean_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (found.value, found.seeds) == (3.0, 5)
    assert found.high == pytest.approx(3.0 + 2.776 * math.sqrt(2.5 / 5), abs=1e-3)


def test_one_seed_has_no_interval_and_shows_nothing() -> None:
    found = curves.ratio_interval([2.0])
    assert found.value == pytest.approx(2.0)
    assert (found.low, found.high) == (None, None)
    assert not found.above_one
    assert not found.apart_from(curves.ratio_interval([8.0, 9.0]))


@settings(deadline=None)
@given(st.lists(LATENCIES, min_size=2, max_size=6))
def test_a_ratio_turned_over_has_its_interval_turned_over(ratios: list[float]) -> None:
    there, back = curves.ratio_interval(ratios), curves.ratio_interval([1 / ratio for ratio in ratios])
    assert there.low is not None
    assert back.high is not None
    assert there.value == pytest.approx(1 / back.value)
    assert math.log(there.low) == pytest.approx(-math.log(back.high), abs=1e-6)


def test_points_become_a_curve_a_seed_by_rate() -> None:
    points = [a_point(rate=rate, seed=seed, mean_s=rate) for rate in (2.0, 1.0) for seed in (0, 1)]
    found = curves.curves([*points, a_point(system="mlfq", rate=1.0)])
    assert [(one.system, one.seed) for one in found] == [("atlas", 0), ("atlas", 1), ("mlfq", 0)]
    assert found[0].knots == ((1.0, 1.0), (2.0, 2.0))


def test_each_measure_has_its_curve() -> None:
    point = a_point(mean_s=0.1)
    assert [curves.curves([point], measure)[0].unloaded_s for measure in Measure] == [
        point.mean_s,
        point.p95_s,
        point.p99_s,
    ]


def test_a_rate_at_which_programs_fail_is_not_sustained() -> None:
    points = [a_point(rate=1.0), a_point(rate=2.0, programs=100, failed=2), a_point(rate=3.0)]
    assert curves.sustained_rate(curves.curves(points)[0], 1.0) == curves.Sustained(1.0, Bound.EXACT)


def test_a_run_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="Two points at rate 1"):
        curves.curves([a_point(rate=1.0), a_point(rate=1.0)])


def test_between_two_rates_the_latency_grows_by_equal_factors() -> None:
    crossing = curves.sustained_rate(a_curve((1.0, 0.1), (2.0, 0.4)), 0.2)
    assert crossing.rate == pytest.approx(1.5)
    assert crossing.bound is Bound.EXACT


def test_nothing_is_extrapolated() -> None:
    rising = a_curve((1.0, 0.1), (2.0, 0.4))
    assert curves.sustained_rate(rising, 0.5) == curves.Sustained(2.0, Bound.AT_LEAST)
    assert curves.sustained_rate(rising, 0.05) == curves.Sustained(None, Bound.NONE)


def test_what_comes_down_again_does_not_count() -> None:
    dented = a_curve((1.0, 0.1), (2.0, 0.4), (3.0, 0.1), (4.0, 0.4))
    assert curves.sustained_rate(dented, 0.2).rate == pytest.approx(1.5)


@settings(deadline=None)
@given(KNOTS, LATENCIES, st.floats(min_value=0.01, max_value=100.0))
def test_units_of_rate_and_latency_do_not_matter(
    knots: tuple[tuple[float, float], ...], latency_s: float, unit: float
) -> None:
    plain = curves.sustained_rate(a_curve(*knots), latency_s)
    scaled = curves.sustained_rate(a_curve(*((rate * unit, s * 2.0) for rate, s in knots)), latency_s * 2.0)
    assert plain.bound is scaled.bound
    if plain.rate is not None:
        assert scaled.rate == pytest.approx(plain.rate * unit)


@settings(deadline=None)
@given(KNOTS, LATENCIES, LATENCIES)
def test_a_laxer_latency_sustains_no_less(knots: tuple[tuple[float, float], ...], one: float, other: float) -> None:
    strict, lax = (curves.sustained_rate(a_curve(*knots), latency_s).rate for latency_s in sorted((one, other)))
    assert (strict or 0.0) <= (lax or 0.0) + 1e-9


@settings(deadline=None)
@given(KNOTS, LATENCIES, st.floats(min_value=1.0, max_value=10.0))
def test_a_faster_system_sustains_no_less(
    knots: tuple[tuple[float, float], ...], latency_s: float, factor: float
) -> None:
    slow = curves.sustained_rate(a_curve(*((rate, s * factor) for rate, s in knots)), latency_s).rate
    fast = curves.sustained_rate(a_curve(*knots), latency_s).rate
    assert (slow or 0.0) <= (fast or 0.0) + 1e-9


def test_twice_the_capacity_is_twice_the_throughput_at_every_latency() -> None:
    points = [p for seed in range(5) for p in (*swept("atlas", 2.0, seed), *swept("vllm-opt", 1.0, seed))]
    drawn = curves.curves(points)
    found = curves.gains(drawn, ours="atlas", other="vllm-opt", at=curves.targets(drawn, (2.0, 3.0, 5.0)))
    assert [gain.target.multiple for gain in found] == [2.0, 3.0, 5.0]
    for gain in found:
        assert gain.ratio.value == pytest.approx(2.0, rel=0.02)
        assert gain.ratio.seeds == 5
        assert gain.bound is Bound.EXACT


def test_targets_are_multiples_of_the_lowest_latency_of_all() -> None:
    found = curves.targets([a_curve((1.0, 0.2)), a_curve((1.0, 0.1), system="mlfq")], (2.0,))
    assert found == [Target(2.0, 0.2)]
    assert curves.targets([]) == []
    assert curves.targets([a_curve((1.0, math.inf))]) == []


@pytest.mark.parametrize(
    ("ours", "other", "expected"),
    [
        pytest.param((0.1, 0.1), (0.1, 0.9), Bound.AT_LEAST, id="ours never crosses"),
        pytest.param((0.1, 0.9), (0.1, 0.1), Bound.AT_MOST, id="the other never crosses"),
        pytest.param((0.1, 0.9), (0.1, 0.9), Bound.EXACT, id="both cross"),
        pytest.param((0.1, 0.1), (0.1, 0.1), None, id="neither crosses"),
        pytest.param((0.1, 0.9), (0.5, 0.9), None, id="the other begins above"),
    ],
)
def test_a_ratio_is_marked_as_what_it_bounds(
    ours: tuple[float, float], other: tuple[float, float], expected: Bound | None
) -> None:
    among = [a_curve(*enumerate(ours, start=1)), a_curve(*enumerate(other, start=1), system="mlfq")]
    found = curves.gains(among, ours="atlas", other="mlfq", at=[Target(3.0, 0.3)])
    assert [gain.bound for gain in found] == ([] if expected is None else [expected])


def test_seeds_are_paired_and_a_seed_without_a_partner_is_left_out() -> None:
    among = [a_curve((1.0, 0.1), (2.0, 0.4), seed=seed) for seed in (0, 1, 2)]
    among += [a_curve((1.0, 0.1), (2.0, 0.4), seed=seed, system="mlfq") for seed in (1, 2, 3)]
    (gain,) = curves.gains(among, ours="atlas", other="mlfq", at=[Target(2.0, 0.2)])
    assert gain.ratio.seeds == 2
    assert gain.ratio.value == pytest.approx(1.0)


def test_up_to_is_the_highest_over_targets_and_no_upper_bound() -> None:
    drawn = [a_curve((1.0, 0.1), (4.0, 0.8)), a_curve((1.0, 0.2), (4.0, 0.9), system="mlfq")]
    found = curves.gains(drawn, ours="atlas", other="mlfq", at=[Target(2.5, 0.25), Target(5.0, 0.5)])
    best = curves.best(found)
    assert best is not None
    assert best.target.multiple == 2.5
    assert curves.best([replace(gain, bound=Bound.AT_MOST) for gain in found]) is None
    assert curves.best([]) is None


def test_the_closed_share_of_the_gap() -> None:
    latencies = {"vllm-opt": 1.0, "atlas": 0.4, "mlfq": 1.2, "srpt": 0.2}
    points = [a_point(system=system, seed=seed, mean_s=s) for system, s in latencies.items() for seed in range(3)]
    found = {one.system: one.closed for one in curves.regrets(points, fcfs="vllm-opt")}
    assert found.keys() == {"atlas", "mlfq"}
    assert found["atlas"].value == pytest.approx(0.75)
    assert found["mlfq"].value == pytest.approx(-0.25)
    assert found["atlas"].seeds == 3


def test_where_there_is_no_gap_no_share_is_given() -> None:
    points = [a_point(system=system, mean_s=s) for system, s in {"vllm-opt": 1.0, "srpt": 0.99, "atlas": 1.0}.items()]
    assert curves.regrets(points, fcfs="vllm-opt") == []
    assert curves.regrets(points[:1], fcfs="vllm-opt") == []


@pytest.mark.parametrize("exponent", [1.0, 0.8])
def test_the_exponent_of_scaling_out(exponent: float) -> None:
    points = [p for n in (1, 2, 4) for seed in range(3) for p in swept("atlas", 0.8 * n**exponent, seed, engines=n)]
    found = curves.scaling(curves.curves(points), system="atlas", latency_s=0.06)
    assert found.exponent is not None
    assert found.exponent.value == pytest.approx(exponent, abs=0.02)
    assert found.efficiency == pytest.approx(4 ** (exponent - 1), rel=0.05)
    assert [engines for engines, _, _ in found.rates] == [1, 2, 4]


def test_a_count_that_never_crossed_is_a_bound_and_not_in_the_fit() -> None:
    drawn = [a_curve((1.0, 0.1), (2.0, 0.4)), a_curve((1.0, 0.1), (2.0, 0.1), engines=2)]
    found = curves.scaling(drawn, system="atlas", latency_s=0.2)
    assert [bound for _, _, bound in found.rates] == [Bound.EXACT, Bound.AT_LEAST]
    assert (found.exponent, found.efficiency) == (None, None)


def test_makespans_are_paired_by_seed() -> None:
    points = [a_point(system="vllm-opt", seed=seed, makespan_s=100.0 * (seed + 1)) for seed in range(3)]
    points += [a_point(seed=seed, makespan_s=80.0 * (seed + 1)) for seed in range(3)]
    ratio = curves.paired_ratio(points, lambda point: point.makespan_s, over="atlas", under="vllm-opt")
    assert ratio is not None
    assert ratio.value == pytest.approx(0.8)
    assert ratio.high == pytest.approx(0.8)
    assert curves.paired_ratio(points, lambda point: point.makespan_s, over="atlas", under="srpt") is None


def test_repetitions_give_median_and_extremes() -> None:
    points = [a_point(system="litellm", seed=seed, mean_s=s) for seed, s in enumerate((3.0, 8.0, 4.0))]
    points += [a_point(system="autellix", seed=seed, mean_s=s) for seed, s in enumerate((1.0, 2.0, 2.0))]
    found = curves.paired_spread(points, lambda point: point.mean_s, over="litellm", under="autellix")
    assert found == curves.Spread(median=3.0, low=2.0, high=4.0, repetitions=3)


def test_points_of_two_loads_are_not_paired() -> None:
    points = [a_point(rate=1.0), a_point(rate=2.0), a_point(system="mlfq")]
    with pytest.raises(ValueError, match="points of one load only"):
        curves.paired_ratio(points, lambda point: point.mean_s, over="atlas", under="mlfq")
