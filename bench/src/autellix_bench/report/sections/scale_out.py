"""The rate at an SLO by number of engines."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.figure import Figure

from autellix_bench.curves import Bound, Scaling
from autellix_bench.points import Point
from autellix_bench.report.checks import SLO_MULTIPLE, scalings
from autellix_bench.report.content import Section, Table
from autellix_bench.report.drawing import Plot, Theme, figure, legend
from autellix_bench.report.settings import of
from autellix_bench.report.systems import look, ordered, workload_name

__all__ = ["section"]


def section(points: Sequence[Point]) -> Section | None:
    """A panel a workload."""
    found = {key: _kept(several) for key, several in scalings(of(points, "scale-out")).items()}
    found = {key: kept for key, kept in found.items() if kept}
    if not found:
        return None
    return Section(
        id="scale-out",
        title="Scale-out",
        intro=f"The highest arrival rate at which the mean stays at or below {SLO_MULTIPLE:g} times the unloaded "
        "latency, by number of engines.",
        plots=(
            Plot(
                name="scale-out",
                draw=partial(_panels, found=found),
                alt="Sustained arrival rate against the number of engines, a line a system, and a line of slope one",
                caption="Whisker: 95% interval over seeds. Arrow: at least, as the latency was not reached. "
                "Thin line: in proportion to the engines.",
                claims=("scale-out",),
            ),
        ),
        tables=tuple(_table(*key, kept) for key, kept in found.items()),
    )


def _kept(several: list[Scaling]) -> dict[str, Scaling]:
    by_system = {one.system: one for one in several if one.rates}
    return {system: by_system[system] for system in ordered(by_system)}


def _panels(theme: Theme, *, found: dict[tuple[str, str], dict[str, Scaling]]) -> Figure:
    drawn, panels = figure(len(found), width=max(6.0, 4.0 * len(found)), height=3.6)
    for panel, ((workload, profile), kept) in zip(panels, found.items(), strict=True):
        for system, one in kept.items():
            seen, counts = look(system), [engines for engines, _, _ in one.rates]
            reach = [0.0 if rate.high is None else rate.high - rate.value for _, rate, _ in one.rates]
            panel.errorbar(
                counts,
                [rate.value for _, rate, _ in one.rates],
                yerr=reach,
                lolims=[bound is Bound.AT_LEAST for _, _, bound in one.rates],
                color=theme.colour(system),
                linestyle=seen.dash,
                marker=seen.marker,
                linewidth=2.4 if seen.ours else 1.5,
                capsize=3,
                label=seen.name,
            )
        first, rate, _ = max((one.rates[0] for one in kept.values()), key=lambda entry: entry[1].value)
        most = max(engines for one in kept.values() for engines, _, _ in one.rates)
        panel.plot([first, most], [rate.value, rate.value * most / first], color=theme.faint, linewidth=1, zorder=1)
        panel.set_title(f"{workload_name(workload)} ({profile})")
        panel.set_xlabel("engines")
        panel.set_xticks(sorted({engines for one in kept.values() for engines, _, _ in one.rates}))
        panel.set_ylim(bottom=0)
    panels[0].set_ylabel("programs a second at the SLO")
    legend(drawn, panels, columns=3)
    return drawn


def _table(workload: str, profile: str, kept: dict[str, Scaling]) -> Table:
    counts = sorted({engines for one in kept.values() for engines, _, _ in one.rates})
    rows = []
    for system, one in kept.items():
        rates = {engines: f"{'' if b is Bound.EXACT else '≥ '}{rate.value:.3g}" for engines, rate, b in one.rates}
        fit = "-" if one.exponent is None else f"{one.exponent.value:.2f}"
        share = "-" if one.efficiency is None else f"{one.efficiency:.0%}"
        rows.append((look(system).name, *(rates.get(engines, "-") for engines in counts), fit, share))
    slo_s = next(iter(kept.values())).latency_s
    return Table(
        f"Programs a second at {slo_s:.3g} s a token: {workload_name(workload)} ({profile}). Exponent: of rate in "
        "engines, 1 is linear. Per engine: at the most engines, as a share of that at the fewest",
        ("System", *(f"{engines} engines" for engines in counts), "Exponent", "Per engine"),
        tuple(rows),
    )
