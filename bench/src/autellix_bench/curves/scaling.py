"""How the rate that a system sustains at a latency grows with its engines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from autellix_bench.curves.intervals import Interval, mean_interval
from autellix_bench.curves.sustained import Bound, Curve, sustained_rate

__all__ = ["Scaling", "scaling"]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Sustained rates by number of engines, and the fit ``rate = a * engines ** exponent`` (1: linear)."""

    system: str
    latency_s: float
    rates: tuple[tuple[int, Interval, Bound], ...]
    """(engines, programs a second, at least where some curve never crossed)."""
    exponent: Interval | None
    """Least squares on logarithms, by seed, over the counts whose rates are exact; None with fewer than two."""
    efficiency: float | None
    """The rate of an engine among the most engines over that among the fewest."""


def scaling(among: Sequence[Curve], *, system: str, latency_s: float) -> Scaling:
    """All curves are of one experiment, workload, profile and measure; a count some seed has no rate at is left out."""
    by_count: dict[int, dict[int, Curve]] = {}
    for curve in among:
        if curve.system == system:
            by_count.setdefault(curve.engines, {})[curve.seed] = curve
    rates: list[tuple[int, Interval, Bound]] = []
    exact: dict[int, dict[int, float]] = {}
    for engines, by_seed in sorted(by_count.items()):
        found = {seed: sustained_rate(curve, latency_s) for seed, curve in by_seed.items()}
        known = {seed: one.rate for seed, one in found.items() if one.rate}
        if len(known) < len(found):
            continue
        crossed = all(one.bound is Bound.EXACT for one in found.values())
        rates.append((engines, mean_interval(list(known.values())), Bound.EXACT if crossed else Bound.AT_LEAST))
        if crossed:
            exact[engines] = known
    return Scaling(system, latency_s, tuple(rates), _exponent(exact), _efficiency(exact))


def _exponent(exact: dict[int, dict[int, float]]) -> Interval | None:
    if len(exact) < 2:
        return None
    seeds = sorted(set.intersection(*(set(by_seed) for by_seed in exact.values())))
    counts = sorted(exact)
    slopes = [_slope([math.log(n) for n in counts], [math.log(exact[n][seed]) for n in counts]) for seed in seeds]
    return mean_interval(slopes) if slopes else None


def _efficiency(exact: dict[int, dict[int, float]]) -> float | None:
    if len(exact) < 2:
        return None
    fewest, most = (fmean(exact[n].values()) / n for n in (min(exact), max(exact)))
    return most / fewest


def _slope(x: list[float], y: list[float]) -> float:
    middle_x, middle_y = fmean(x), fmean(y)
    over = sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True))
    return over / sum((a - middle_x) ** 2 for a in x)
