"""The same measure of two systems under the same load, seed by seed or repetition by repetition."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from autellix_bench.curves.intervals import Interval, Spread, ratio_interval, spread
from autellix_bench.points import Point

__all__ = ["paired_ratio", "paired_spread"]


def paired_ratio(points: Iterable[Point], of: Callable[[Point], float], *, over: str, under: str) -> Interval | None:
    """The ratio of system ``over`` to system ``under``, over the seeds that both have. All points are of one load."""
    ratios = _ratios(points, of, over, under)
    return ratio_interval(ratios) if ratios else None


def paired_spread(points: Iterable[Point], of: Callable[[Point], float], *, over: str, under: str) -> Spread | None:
    """The same ratio by repetition: median and extremes, as three repetitions make no confidence interval."""
    ratios = _ratios(points, of, over, under)
    return spread(ratios) if ratios else None


def _ratios(points: Iterable[Point], of: Callable[[Point], float], over: str, under: str) -> list[float]:
    """:raises ValueError: if a system has two points of one seed, so that it is unclear which to pair."""
    by_system: dict[str, dict[int, float]] = {over: {}, under: {}}
    for point in points:
        by_seed = by_system.get(point.system)
        if by_seed is None:
            continue
        if point.seed in by_seed:
            raise ValueError(f"Two points of {point.system} with seed {point.seed}; pair the points of one load only.")
        by_seed[point.seed] = of(point)
    return [
        by_system[over][seed] / by_system[under][seed] for seed in sorted(by_system[over].keys() & by_system[under])
    ]
