"""Throughput at equal latency: the paper's headline, beside the paper's figures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autellix_bench.curves import Gain, best
from autellix_bench.curves.gains import MULTIPLES
from autellix_bench.points import Point
from autellix_bench.report.claims import CLAIMS
from autellix_bench.report.content import Section, Table, gain_cell
from autellix_bench.report.drawing import Plot, Theme, figure, legend
from autellix_bench.report.findings import factor, setting_gains
from autellix_bench.report.settings import Setting, by_setting, of, slugs
from autellix_bench.report.systems import OURS, look, ordered

__all__ = ["GAINS", "gain_table", "section"]

GAINS = "Ratio of sustained rates by latency, in multiples of the unloaded latency, with 95% intervals"

Gains = dict[str, list[Gain]]
"""By the other system."""


def section(points: Sequence[Point]) -> Section | None:
    """Bars a workload, and a table of every target."""
    groups = by_setting(of(points, "latency"))
    found = {setting: _gains(group) for setting, group in groups.items()}
    found = {setting: gains for setting, gains in found.items() if gains}
    if not found:
        return None
    names = slugs(found)
    return Section(
        id="throughput",
        title="Throughput at equal latency",
        intro=f"The highest arrival rate at which the mean stays at or below a latency, {look(OURS).name} over each "
        "other system, paired by seed. The latencies are "
        f"{', '.join(f'{multiple:g}' for multiple in MULTIPLES)} times the lowest that any system shows at its lowest "
        "rate. Between measured rates the latency's logarithm is taken to be linear; nothing is extrapolated: ≥ where "
        "ours never reached the latency, ≤ where the other did not, a dash where some seed has no ratio.",
        plots=tuple(
            _plot(setting, gains, names[setting]) for setting, gains in found.items() if gains.keys() - {"srpt"}
        ),
        tables=tuple(gain_table(f"{GAINS}: {s.title}", g) for s, g in found.items()),
    )


def gain_table(caption: str, found: Gains) -> Table:
    """A row a system, a column a target."""
    multiples = sorted({gain.target.multiple for gains in found.values() for gain in gains})
    latencies = {gain.target.multiple: gain.target.latency_s for gains in found.values() for gain in gains}
    head = ("Against", *(f"{multiple:g}x ({latencies[multiple]:.3g} s)" for multiple in multiples))
    rows = []
    for other in ordered(found):
        cells = {gain.target.multiple: gain_cell(gain) for gain in found[other]}
        rows.append((look(other).name, *(cells.get(multiple, "-") for multiple in multiples)))
    return Table(caption, head, tuple(rows))


def _gains(points: list[Point]) -> Gains:
    others = {point.system for point in points} - {OURS}
    found = {other: setting_gains(points, ours=OURS, other=other) for other in others}
    return {other: gains for other, gains in found.items() if gains}


def _plot(setting: Setting, found: Gains, name: str) -> Plot:
    claims = [claim for claim in CLAIMS if claim.id.startswith(f"throughput.{setting.workload}.")]
    paper = {claim.id.rpartition(".")[2]: claim.number for claim in claims}
    highest = {other: _shown(found[other]) for other in ordered(found) if other != "srpt"}
    return Plot(
        name=f"throughput-{name}",
        draw=partial(_bars, highest=highest, paper=paper),
        alt=f"Bars of the highest ratio of sustained rates against each other system: {setting.title}",
        caption=f"{setting.title}. The highest ratio over the latencies, with that latency; whisker: 95% interval "
        "over seeds. ≤: all ratios are upper bounds, and this is the lowest. Diamond: the paper's figure.",
        claims=tuple(claim.id for claim in claims),
    )


def _shown(gains: list[Gain]) -> Gain:
    return best(gains) or min(gains, key=lambda gain: gain.ratio.value)


def _bars(theme: Theme, *, highest: dict[str, Gain], paper: dict[str, float | None]) -> Figure:
    others = list(highest)
    drawn, (panel,) = figure(1, width=9.0, height=1.1 + 0.34 * len(others))
    for place, other in enumerate(others):
        _bar(panel, theme, place, highest[other])
        if number := paper.get(other):
            label = "the paper, up to" if "the paper, up to" not in panel.get_legend_handles_labels()[1] else None
            panel.plot(number, place, marker="D", linestyle="", color=theme.ink, label=label, zorder=5)
    panel.axvline(1.0, color=theme.faint, linewidth=1)
    panel.set_yticks(range(len(others)), [look(other).name for other in others])
    panel.invert_yaxis()
    claimed = [number for other in others if (number := paper.get(other))]
    panel.set_xlim(0, 1.05 * max([1.0, *(_end(gain) for gain in highest.values()), *claimed]))
    panel.set_xlabel(f"{look(OURS).name}: times the arrival rate at equal mean latency")
    panel.grid(visible=False, axis="y")
    legend(drawn, [panel])
    return drawn


def _bar(panel: Axes, theme: Theme, place: int, gain: Gain) -> None:
    ratio = gain.ratio
    whisker = None
    if ratio.low is not None and ratio.high is not None:
        whisker = [[ratio.value - ratio.low], [ratio.high - ratio.value]]
    panel.barh(
        place, ratio.value, height=0.62, color=theme.colour(gain.other), xerr=whisker, ecolor=theme.ink, capsize=3
    )
    words = f"{factor(ratio.value, gain.bound)}, at {gain.target.multiple:g}x unloaded"
    panel.text(1.01, place, words, va="center", fontsize=8.5, transform=panel.get_yaxis_transform())


def _end(gain: Gain) -> float:
    return gain.ratio.value if gain.ratio.high is None else gain.ratio.high
