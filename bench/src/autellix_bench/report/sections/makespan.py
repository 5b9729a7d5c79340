"""Offline batches: all programs are there from the beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.figure import Figure

from autellix_bench.curves import paired_ratio
from autellix_bench.points import Point
from autellix_bench.report.checks import fcfs_of
from autellix_bench.report.content import Section, Table, cell, failures
from autellix_bench.report.drawing import Plot, Theme, figure, legend, line
from autellix_bench.report.settings import Setting, by_setting, by_system, of, slugs
from autellix_bench.report.systems import look, ordered

__all__ = ["section"]


def section(points: Sequence[Point]) -> Section | None:
    """A picture and a table a setting."""
    groups = by_setting(of(points, "makespan"))
    if not groups:
        return None
    names, last = slugs(groups), list(groups)[-1]
    return Section(
        id="makespan",
        title="Offline makespan",
        intro="All programs are there at the beginning; the makespan is the time to the last answer.",
        plots=tuple(
            Plot(
                name=f"makespan-{names[setting]}",
                draw=partial(_panels, points=group),
                alt=f"Makespan and mean token latency against the size of the batch, a line a system: {setting.title}",
                caption=f"{setting.title}. Line: median over seeds; band: lowest to highest seed.{failures(group)}",
                claims=("makespan", "makespan.memory") if setting == last else (),
            )
            for setting, group in groups.items()
        ),
        tables=tuple(table for setting, group in groups.items() if (table := _table(setting, group))),
    )


def _panels(theme: Theme, *, points: list[Point]) -> Figure:
    drawn, (makespan, latency) = figure(2)
    grouped = by_system(points)
    for system in ordered(grouped):
        for panel, of_point in ((makespan, _makespan), (latency, _mean)):
            runs = _by_size(grouped[system], of_point)
            line(panel, theme, system, list(runs), list(runs.values()))
    makespan.set_title("Makespan (s)")
    latency.set_title("Mean program token latency (s a token)")
    for panel in (makespan, latency):
        panel.set_xlabel("programs in the batch")
        panel.set_ylim(bottom=0)
    legend(drawn, [makespan])
    return drawn


def _table(setting: Setting, points: list[Point]) -> Table | None:
    fcfs = fcfs_of(points)
    if fcfs is None:
        return None
    sizes = sorted({point.programs for point in points})
    rows = []
    for system in ordered({point.system for point in points} - {fcfs}):
        batches = ([point for point in points if point.programs == size] for size in sizes)
        cells = (cell(paired_ratio(batch, _makespan, over=system, under=fcfs)) for batch in batches)
        rows.append((look(system).name, *cells))
    caption = f"Makespan over that of {look(fcfs).name} (less than 1 is shorter), with 95% intervals: {setting.title}"
    return Table(caption, ("System", *(f"{size} programs" for size in sizes)), tuple(rows))


def _by_size(points: list[Point], of_point: Callable[[Point], float]) -> dict[float, list[float]]:
    found: dict[float, list[float]] = {}
    for point in sorted(points, key=lambda point: point.programs):
        found.setdefault(point.programs, []).append(of_point(point))
    return found


def _makespan(point: Point) -> float:
    return point.makespan_s


def _mean(point: Point) -> float:
    return point.mean_s
