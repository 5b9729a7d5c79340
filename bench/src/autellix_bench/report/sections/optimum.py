"""How far each policy is from clairvoyant SRPT."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autellix_bench.curves import Regret, regrets, spread
from autellix_bench.curves.regrets import SMALLEST_GAP
from autellix_bench.points import Point
from autellix_bench.report.checks import fcfs_of
from autellix_bench.report.content import Section, Table, cell
from autellix_bench.report.drawing import Plot, Theme, figure, legend, line, logarithmic
from autellix_bench.report.latencies import read_off
from autellix_bench.report.settings import Setting, by_rate, by_setting, by_system, of, slugs
from autellix_bench.report.systems import look, ordered

__all__ = ["section"]

_SHOWN_DOWN_TO = -0.5
"""Lower closed shares are in the table only."""


def section(points: Sequence[Point]) -> Section | None:
    """Latency and closed share by rate, and the regret table."""
    groups = by_setting(of(points, "optimum"))
    if not groups:
        return None
    names, last = slugs(groups), list(groups)[-1]
    found = {setting: _regrets(group) for setting, group in groups.items()}
    return Section(
        id="optimum",
        title="Gap to the optimum",
        intro="SRPT knows how long every program will be, which no system can. Of the gap in mean latency between "
        "FCFS and SRPT, each policy closes (FCFS - policy) / (FCFS - SRPT): 100% is as good as SRPT, less than 0 "
        f"worse than FCFS. No share is given where SRPT saves less than {SMALLEST_GAP:.0%} of FCFS's latency.",
        plots=tuple(
            Plot(
                name=f"optimum-{names[setting]}",
                draw=partial(_panels if len(by_rate(group)) > 1 else _rows, points=group, found=found[setting]),
                alt=f"Mean latency of each policy, and the share that it closes of the gap to SRPT: {setting.title}",
                caption=f"{setting.title}{_only_rate(group)}. Marker: median seed, and the share; band: lowest "
                "to highest seed; whisker: 95% interval over seeds. "
                f"Shares below {_SHOWN_DOWN_TO:.0%} are in the table only.",
                claims=("optimum",) if setting == last else (),
            )
            for setting, group in groups.items()
        ),
        tables=tuple(_table(setting, found[setting]) for setting in groups if found[setting]),
    )


def _regrets(points: list[Point]) -> list[Regret]:
    fcfs = fcfs_of(points)
    return regrets(points, fcfs=fcfs) if fcfs else []


def _panels(theme: Theme, *, points: list[Point], found: list[Regret]) -> Figure:
    drawn, (latency, closed) = figure(2, height=3.4)
    grouped = by_system(points)
    for system in ordered(grouped):
        line(latency, theme, system, *read_off(grouped[system], "Mean"))
    logarithmic(latency)
    latency.set_title("Mean program token latency (s a token)")
    _closed(closed, theme, found)
    for panel in (latency, closed):
        panel.set_xlabel("programs arriving a second")
    legend(drawn, [latency])
    return drawn


def _rows(theme: Theme, *, points: list[Point], found: list[Regret]) -> Figure:
    """At one rate there is nothing to draw a line through: a row a system."""
    systems = ordered(point.system for point in points)
    drawn, (latency, closed) = figure(2, height=1.2 + 0.28 * len(systems), sharey=True)
    grouped, shares = by_system(points), {one.system: one.closed for one in found}
    for place, system in enumerate(systems):
        seen, colour = look(system), theme.colour(system)
        _, runs = read_off(grouped[system], "Mean")
        for own in map(spread, runs):
            latency.plot([own.low, own.high], [place, place], color=colour, linewidth=3, alpha=0.5)
            latency.plot(own.median, place, marker=seen.marker, markersize=8, color=colour)
        if (share := shares.get(system)) and share.value >= _SHOWN_DOWN_TO:
            whisker = 0.0 if share.high is None else share.high - share.value
            closed.errorbar(
                share.value,
                place,
                xerr=whisker,
                color=colour,
                marker=seen.marker,
                markersize=7,
                linewidth=1.6,
                capsize=3,
            )
    logarithmic(latency, "x")
    latency.set_title("Mean program token latency (s a token)")
    for level in (0.0, 1.0):
        closed.axvline(level, color=theme.faint, linewidth=1)
    closed.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    closed.set_title("Closed share of the gap: FCFS 0%, SRPT 100%")
    latency.set_yticks(range(len(systems)), [look(system).name for system in systems])
    latency.invert_yaxis()
    return drawn


def _only_rate(points: list[Point]) -> str:
    rates = list(by_rate(points))
    return f", {rates[0]:g} programs/s" if len(rates) == 1 else ""


def _closed(panel: Axes, theme: Theme, found: list[Regret]) -> None:
    for system in ordered(one.system for one in found):
        own = [one for one in found if one.system == system and one.closed.value >= _SHOWN_DOWN_TO]
        seen = look(system)
        panel.errorbar(
            [one.rate for one in own],
            [one.closed.value for one in own],
            yerr=[0.0 if one.closed.high is None else one.closed.high - one.closed.value for one in own],
            color=theme.colour(system),
            linestyle=seen.dash,
            marker=seen.marker,
            markersize=5,
            linewidth=2.4 if seen.ours else 1.4,
            capsize=3,
        )
    for level, name in ((0.0, "FCFS"), (1.0, "SRPT")):
        panel.axhline(level, color=theme.faint, linewidth=1)
        panel.text(1.01, level, name, va="center", fontsize=8.5, transform=panel.get_yaxis_transform())
    lowest = min([0.0, *(one.closed.value for one in found)])
    panel.set_ylim(max(lowest, _SHOWN_DOWN_TO) - 0.1, 1.15)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    panel.set_title("Closed share of the gap")


def _table(setting: Setting, found: list[Regret]) -> Table:
    rates = sorted({one.rate for one in found})
    cells = {(one.system, one.rate): cell(one.closed, "{:.0%}") for one in found}
    rows = tuple(
        (look(system).name, *(cells.get((system, rate), "-") for rate in rates))
        for system in ordered(one.system for one in found)
    )
    head = ("Policy", *(f"{rate:g} programs/s" for rate in rates))
    return Table(f"Closed share of the FCFS-to-SRPT gap, with 95% intervals: {setting.title}", head, rows)
