"""What promotion by beta costs in the mean and gains in the tail."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autellix_bench.points import Point
from autellix_bench.report.content import Section, Table
from autellix_bench.report.drawing import Plot, Theme, figure, legend
from autellix_bench.report.settings import by_load, by_system, of
from autellix_bench.report.systems import look, ordered

__all__ = ["LONGEST_WAIT", "section"]

LONGEST_WAIT = "longest_wait_s"
"""The parameter of a point that holds the longest that any call waited, where it was counted."""

_MEASURES: dict[str, Callable[[Point], float]] = {
    "Mean (s a token)": lambda point: point.mean_s,
    "P99 (s a token)": lambda point: point.p99_s,
    "Worst program (s a token)": lambda point: point.worst_s,
    "Longest wait of a call (s)": lambda point: float(point.params.get(LONGEST_WAIT, math.nan)),
}


def section(points: Sequence[Point]) -> Section | None:
    """A picture and a table for each setting and rate."""
    loads = by_load(of(points, "fairness"))
    if not loads:
        return None
    return Section(
        id="fairness",
        title="Fairness by beta",
        intro="A call that has waited beta times its service, its program's included, is promoted to the first queue. "
        "A smaller beta promotes more: it protects those who wait longest and gives up some of the mean.",
        plots=tuple(
            Plot(
                name=f"fairness-{load.slug}",
                draw=partial(_panels, points=group),
                alt=f"Mean and tail latency and the longest wait, by beta: {load.title}",
                caption=f"{load.title}. Mean over seeds; lower is better. No markers: a system without beta.",
            )
            for load, group in loads.items()
        ),
        tables=tuple(_table(load.title, group) for load, group in loads.items()),
    )


def _panels(theme: Theme, *, points: list[Point]) -> Figure:
    shown = {name: of_point for name, of_point in _MEASURES.items() if any(not math.isnan(of_point(p)) for p in points)}
    drawn, panels = figure(len(shown), height=2.8)
    grouped = {system: _by_beta(group) for system, group in by_system(points).items()}
    betas = [beta for beta in _by_beta(points) if beta]
    for panel, (name, of_point) in zip(panels, shown.items(), strict=True):
        for system in ordered(grouped):
            _means(panel, theme, system, grouped[system], betas, of_point)
        panel.set_xticks(range(len(betas)), betas)
        panel.set_title(name)
        panel.set_xlabel("beta")
        panel.set_ylim(0, 1.1 * panel.dataLim.ymax)
    legend(drawn, panels)
    return drawn


def _means(
    panel: Axes,
    theme: Theme,
    system: str,
    by_beta: dict[str, list[Point]],
    betas: list[str],
    of_point: Callable[[Point], float],
) -> None:
    """A marker a beta; a system that has none is a line across all of them."""
    seen, colour = look(system), theme.colour(system)
    means = {beta: fmean(of_point(point) for point in group) for beta, group in by_beta.items()}
    if "" in means:
        panel.axhline(means.pop(""), color=colour, linestyle=seen.dash, label=None if means else seen.name)
    if means:
        x = [betas.index(beta) for beta in means]
        panel.plot(x, list(means.values()), color=colour, linestyle=seen.dash, marker=seen.marker, label=seen.name)


def _by_beta(points: list[Point]) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda point: _number(point.params.get("beta"))):
        beta = point.params.get("beta", "")
        found.setdefault(beta if isinstance(beta, str) else f"{beta:g}", []).append(point)
    return found


def _number(beta: float | str | None) -> float:
    return math.inf if beta is None or isinstance(beta, str) else beta


def _table(title: str, points: list[Point]) -> Table:
    rows = []
    grouped = by_system(points)
    for system in ordered(grouped):
        for beta, group in _by_beta(grouped[system]).items():
            values = [fmean(of_point(point) for point in group) for of_point in _MEASURES.values()]
            cells = ("-" if math.isnan(value) else f"{value:.3g}" for value in values)
            rows.append((look(system).name, beta or "-", *cells))
    return Table(f"Means over seeds: {title}", ("System", "beta", *_MEASURES), tuple(rows))
