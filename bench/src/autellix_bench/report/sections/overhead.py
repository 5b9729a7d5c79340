"""What a scheduling decision costs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from autellix_bench.points import Point
from autellix_bench.report.content import Section
from autellix_bench.report.drawing import Plot, Theme, figure, legend, line, logarithmic
from autellix_bench.report.settings import by_system, of
from autellix_bench.report.systems import ordered

__all__ = ["section"]


def section(points: Sequence[Point]) -> Section | None:
    """Cost by calls queued."""
    measured = [point for point in of(points, "overhead") if {"queued", "decision_us"} <= point.params.keys()]
    if not measured:
        return None
    return Section(
        id="overhead",
        title="Scheduling overhead",
        intro="The time of one scheduling decision, by calls in the queue. It is wall-clock time of the machine that "
        "measured it: compare systems, not machines.",
        plots=(
            Plot(
                name="overhead",
                draw=partial(_panel, points=measured),
                alt="Microseconds a decision against calls queued, a line a system",
                caption="Line: median repetition; band: lowest to highest.",
                claims=("overhead",),
            ),
        ),
    )


def _panel(theme: Theme, *, points: list[Point]) -> Figure:
    drawn, (panel,) = figure(1, width=7.0, height=3.6)
    grouped = by_system(points)
    for system in ordered(grouped):
        costs: dict[float, list[float]] = {}
        for point in grouped[system]:
            costs.setdefault(float(point.params["queued"]), []).append(float(point.params["decision_us"]))
        queued = sorted(costs)
        line(panel, theme, system, queued, [costs[one] for one in queued])
    panel.set_xlabel("calls queued")
    panel.set_ylabel("µs a decision")
    logarithmic(panel, "x")
    logarithmic(panel)
    legend(drawn, [panel], columns=3)
    return drawn
