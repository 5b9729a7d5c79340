"""What a page is made of: sections with pictures and tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autellix_bench.curves import Bound, Gain, Interval
from autellix_bench.points import Point
from autellix_bench.report.drawing import Plot
from autellix_bench.report.settings import by_system
from autellix_bench.report.systems import look, ordered

__all__ = ["Section", "Table", "cell", "failures", "gain_cell"]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; the first cell of each names it."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One question and its answer."""

    id: str
    title: str
    intro: str
    plots: tuple[Plot, ...] = ()
    tables: tuple[Table, ...] = ()


def cell(interval: Interval | None, form: str = "{:.2f}") -> str:
    """A value with its interval, as "1.83 [1.71, 1.96]"; a dash for none."""
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return form.format(interval.value)
    return f"{form} [{form}, {form}]".format(interval.value, interval.low, interval.high)


def gain_cell(gain: Gain | None) -> str:
    """A ratio of sustained rates with its interval, marked where it is a bound only."""
    if gain is None:
        return "-"
    return cell(gain.ratio) if gain.bound is Bound.EXACT else f"{gain.bound.value} {cell(gain.ratio)}"


def failures(points: Iterable[Point]) -> str:
    """A sentence for a caption on programs that failed, which no latency shows; empty where none did."""
    grouped = by_system(points)
    failed = {system: sum(point.failed for point in group) for system, group in grouped.items()}
    said = [
        f"{look(system).name} {failed[system]} of {sum(point.programs for point in grouped[system])}"
        for system in ordered(grouped)
        if failed[system]
    ]
    return f" Programs that failed and are in no latency: {', '.join(said)}." if said else ""
