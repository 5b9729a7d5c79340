"""Real engines: ours beside the peers, on the same arrivals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from autellix_bench.curves import Spread, paired_spread, spread
from autellix_bench.points import Point
from autellix_bench.report.content import Section, Table, failures
from autellix_bench.report.drawing import Plot, Theme, figure, logarithmic
from autellix_bench.report.latencies import MEASURES
from autellix_bench.report.settings import Load, by_load, by_system, of
from autellix_bench.report.systems import LIVE_OURS, look, ordered

__all__ = ["section"]

_SHOWN = ("Mean", "P95", "P99")


def section(points: Sequence[Point]) -> Section | None:
    """A picture and two tables for each setting and rate."""
    loads = by_load(of(points, "live"))
    if not loads:
        return None
    return Section(
        id="live",
        title="Real engines, against peers",
        intro="The same programs at the same times to each system, on real engines. Not an experiment of the paper's. "
        "Few repetitions make no confidence interval: the median is given, and the extremes.",
        plots=tuple(
            Plot(
                name=f"live-{load.slug}",
                draw=partial(_panels, points=group),
                alt=f"Mean, P95 and P99 of program token latency, a row a system: {load.title}",
                caption=f"{load.title}. Marker: median repetition; line: lowest to highest. Beside it: how many "
                f"times the latency of {look(LIVE_OURS).name}, the median of the ratios by repetition."
                f"{failures(group)}",
            )
            for load, group in loads.items()
        ),
        tables=tuple(
            table
            for load, group in loads.items()
            for table in (_latencies(load, group), _ratios(load, group), *_counted(load, group))
        ),
    )


def _panels(theme: Theme, *, points: list[Point]) -> Figure:
    systems = ordered(point.system for point in points)
    drawn, panels = figure(len(_SHOWN), width=11.0, height=1.2 + 0.36 * len(systems), sharey=True)
    grouped = by_system(points)
    for panel, measure in zip(panels, _SHOWN, strict=True):
        for place, system in enumerate(systems):
            seen, colour, own = look(system), theme.colour(system), _spread(grouped[system], measure)
            panel.plot(
                [own.low, own.high], [place, place], color=colour, linewidth=3, alpha=0.5, solid_capstyle="round"
            )
            panel.plot(own.median, place, marker=seen.marker, markersize=8, color=colour)
            ratio = _ratio(points, measure, system)
            if ratio and system != LIVE_OURS and math.isfinite(own.high):
                words = f"{ratio.median:.2f}x"
                panel.annotate(
                    words, (own.high, place), xytext=(8, 0), textcoords="offset points", va="center", fontsize=8
                )
        logarithmic(panel, "x")
        panel.margins(x=0.2)
        panel.set_title(measure)
        panel.set_xlabel("s a token")
        panel.tick_params(axis="y", length=0)
    panels[0].set_yticks(range(len(systems)), [look(system).name for system in systems])
    for label, system in zip(panels[0].get_yticklabels(), systems, strict=True):
        label.set_fontweight("bold" if look(system).ours else "normal")
    panels[0].invert_yaxis()
    return drawn


def _latencies(load: Load, points: list[Point]) -> Table:
    grouped = by_system(points)
    rows = tuple(
        (look(system).name, *(_words(_spread(grouped[system], measure), "{:.3g}") for measure in _SHOWN))
        for system in ordered(grouped)
    )
    caption = f"Program token latency in s a token, median (lowest to highest): {load.title}"
    return Table(caption, ("System", *_SHOWN), rows)


def _ratios(load: Load, points: list[Point]) -> Table:
    rows = []
    for system in ordered({point.system for point in points} - {LIVE_OURS}):
        ratios = [_ratio(points, measure, system) for measure in _SHOWN]
        rows.append((look(system).name, *("-" if one is None else _words(one, "{:.2f}") for one in ratios)))
    caption = (
        f"Latency over that of {look(LIVE_OURS).name} (more than 1: ours is faster), by repetition, median (lowest to "
        f"highest): {load.title}"
    )
    return Table(caption, ("System", *_SHOWN), tuple(rows))


def _counted(load: Load, points: list[Point]) -> list[Table]:
    """What else was measured with each run: schedule slip, the driver's own CPU, preemptions."""
    names = sorted({name for point in points for name, value in point.params.items() if not isinstance(value, str)})
    if not names:
        return []
    grouped, rows = by_system(points), []
    for system in ordered(grouped):
        given = [[float(p.params[name]) for p in grouped[system] if name in p.params] for name in names]
        cells = (_words(spread(values), "{:.3g}") if values else "-" for values in given)
        rows.append((look(system).name, *cells))
    caption = f"What was counted beside the latencies, median (lowest to highest): {load.title}"
    return [Table(caption, ("System", *names), tuple(rows))]


def _spread(points: list[Point], measure: str) -> Spread:
    return spread([getattr(point, MEASURES[measure]) for point in points])


def _ratio(points: list[Point], measure: str, system: str) -> Spread | None:
    return paired_spread(points, lambda point: getattr(point, MEASURES[measure]), over=system, under=LIVE_OURS)


def _words(one: Spread, form: str) -> str:
    return f"{form} ({form} to {form})".format(one.median, one.low, one.high)
