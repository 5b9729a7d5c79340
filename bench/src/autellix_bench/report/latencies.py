"""Pictures of latency against arrival rate."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from autellix_bench.points import Point
from autellix_bench.report.drawing import Theme, figure, legend, line, logarithmic
from autellix_bench.report.settings import by_rate, by_system
from autellix_bench.report.systems import ordered

__all__ = ["MEASURES", "rate_panels", "read_off"]

MEASURES = {"Mean": "mean_s", "P95": "p95_s", "P99": "p99_s", "Worst": "worst_s"}
"""The latencies of a point, as they are called and where they stand."""


def rate_panels(theme: Theme, points: Sequence[Point], measures: Sequence[str]) -> Figure:
    """A panel a measure, a line a system, a band from its lowest seed to its highest."""
    drawn, panels = figure(len(measures))
    grouped = by_system(points)
    for panel, measure in zip(panels, measures, strict=True):
        for system in ordered(grouped):
            x, runs = read_off(grouped[system], measure)
            if x:
                line(panel, theme, system, x, runs)
        panel.set_title(measure)
        panel.set_xlabel("programs arriving a second")
        logarithmic(panel)
    panels[0].set_ylabel("program token latency (s a token)")
    legend(drawn, panels)
    return drawn


def read_off(points: Sequence[Point], measure: str) -> tuple[list[float], list[list[float]]]:
    """The rates and each rate's finite latencies over seeds."""
    found = {
        rate: [value for point in group if math.isfinite(value := getattr(point, MEASURES[measure]))]
        for rate, group in by_rate(points).items()
    }
    found = {rate: values for rate, values in found.items() if values}
    return list(found), list(found.values())
