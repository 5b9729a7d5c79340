"""The others over ours: how many times longer a program waits for a token, by repetition, with median and spread.

Systems of one repetition had the same programs within the same minutes, so a repetition's ratio is free of what the
machine did otherwise; how far the ratios of the repetitions lie apart says how far to trust them. Runs that the driver
made slow are left out, and named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.table import Table

from autellix_bench.points import Point

__all__ = ["STATISTICS", "Ratio", "excluded", "ratios", "table"]

STATISTICS: Mapping[str, str] = {"mean_s": "mean", "p95_s": "P95", "p99_s": "P99"}
"""Fields of a point, and what they are called."""


@dataclass(frozen=True, slots=True)
class Ratio:
    """One statistic of another system over ours; above 1, ours is better."""

    system: str
    statistic: str
    by_repetition: Mapping[int, float]
    failed: int
    """Programs of that system that failed, in all these repetitions: its latencies are those of the others."""

    @property
    def median(self) -> float:
        """Over the repetitions."""
        return median(self.by_repetition.values())

    @property
    def lowest(self) -> float:
        """Of the repetitions."""
        return min(self.by_repetition.values())

    @property
    def highest(self) -> float:
        """Of the repetitions."""
        return max(self.by_repetition.values())


def ratios(points: Iterable[Point], ours: str) -> list[Ratio]:
    """Each other system's, in the order of the points; none where no repetition has a valid run of both."""
    by_system: dict[str, dict[int, Point]] = {}
    for point in points:
        if _valid(point):
            by_system.setdefault(point.system, {})[point.seed] = point
    base = by_system.pop(ours, {})
    found = []
    for system, theirs in by_system.items():
        both = sorted(theirs.keys() & base.keys())
        for statistic in STATISTICS if both else ():
            values = {each: getattr(theirs[each], statistic) / getattr(base[each], statistic) for each in both}
            found.append(Ratio(system, statistic, values, sum(theirs[each].failed for each in both)))
    return found


def excluded(points: Iterable[Point]) -> list[str]:
    """A sentence for every run that is not counted."""
    return [
        f"{point.system}, repetition {point.seed + 1}, is not counted: the driver made "
        f"{_number(point.params.get('slip_share')):.1%} of its calls' time."
        for point in points
        if not _valid(point)
    ]


def table(found: Sequence[Ratio], ours: str) -> Table:
    """For a terminal: median (lowest to highest) of each statistic."""
    shown = Table(title=f"Program token latency over that of {ours}: median of the repetitions (lowest to highest)")
    for name in ("", *STATISTICS.values(), "repetitions", "failed programs"):
        shown.add_column(name, justify="right" if name else "left")
    for system in dict.fromkeys(ratio.system for ratio in found):
        of = {ratio.statistic: ratio for ratio in found if ratio.system == system}
        cells = [f"{r.median:.2f} ({r.lowest:.2f} to {r.highest:.2f})" for r in map(of.__getitem__, STATISTICS)]
        one = next(iter(of.values()))
        shown.add_row(system, *cells, str(len(one.by_repetition)), str(one.failed))
    return shown


def _valid(point: Point) -> bool:
    return point.params.get("valid") != "no"


def _number(value: float | str | None) -> float:
    return value if isinstance(value, int | float) else float("nan")
