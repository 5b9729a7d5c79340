"""Latency against arrival rate, and the highest rate that a system sustains at a latency (section 6 of the paper)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from autellix_bench.points import Point

__all__ = ["MOST_FAILED", "Bound", "Curve", "Measure", "Sustained", "curves", "sustained_rate"]

MOST_FAILED = 0.01
"""A rate at which a larger share of programs failed is not sustained, however fast the others were."""


class Measure(StrEnum):
    """Which latency over the programs of a point."""

    MEAN = "mean"
    P95 = "P95"
    P99 = "P99"

    def of(self, point: Point) -> float:
        """In seconds a token; infinite where too many programs failed."""
        if point.failed > MOST_FAILED * point.programs:
            return math.inf
        return {Measure.MEAN: point.mean_s, Measure.P95: point.p95_s, Measure.P99: point.p99_s}[self]


class Bound(StrEnum):
    """How a number stands to the one that was looked for."""

    EXACT = "="
    AT_LEAST = "≥"
    AT_MOST = "≤"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Curve:
    """One measure of one system under one seed, by rate. What it was measured with stands beside it."""

    experiment: str
    workload: str
    profile: str
    engines: int
    system: str
    seed: int
    measure: Measure
    knots: tuple[tuple[float, float], ...]
    """(programs a second, seconds a token), by rate."""

    @property
    def unloaded_s(self) -> float:
        """The latency at the lowest rate measured."""
        return self.knots[0][1]


@dataclass(frozen=True, slots=True)
class Sustained:
    """A rate in programs a second. At least: the curve stayed below up to its last rate. None: it began above."""

    rate: float | None
    bound: Bound


def curves(points: Iterable[Point], measure: Measure = Measure.MEAN) -> list[Curve]:
    """One curve for each experiment, workload, profile, number of engines, system and seed.

    :raises ValueError: if there are two points of one curve at the same rate.
    """
    grouped: dict[tuple[str, str, str, int, str, int], dict[float, float]] = {}
    for point in points:
        key = (point.experiment, point.workload, point.profile, point.engines, point.system, point.seed)
        knots = grouped.setdefault(key, {})
        if point.rate in knots:
            raise ValueError(f"Two points at rate {point.rate:g} for {key}; give each run of an experiment once.")
        knots[point.rate] = measure.of(point)
    return [Curve(*key, measure=measure, knots=tuple(sorted(knots.items()))) for key, knots in sorted(grouped.items())]


def sustained_rate(curve: Curve, latency_s: float) -> Sustained:
    """The highest rate at which the latency stays at or below this one: where the curve first crosses it from below.

    Between two measured rates the logarithm of the latency is taken to be linear in the rate, as latencies grow by
    factors past the knee. Nothing is extrapolated, and what comes down again after the first crossing does not count.
    """
    if curve.unloaded_s > latency_s:
        return Sustained(None, Bound.NONE)
    for (rate, below_s), (next_rate, above_s) in pairwise(curve.knots):
        if above_s > latency_s:
            share = _share(below_s, latency_s, above_s)
            return Sustained(rate + share * (next_rate - rate), Bound.EXACT)
    return Sustained(curve.knots[-1][0], Bound.AT_LEAST)


def _share(below_s: float, latency_s: float, above_s: float) -> float:
    if below_s <= 0.0 or math.isinf(above_s):
        return 0.0
    return math.log(latency_s / below_s) / math.log(above_s / below_s)
