"""How pictures are drawn: one style in a light and a dark theme, by matplotlib's objects, the same bytes every time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from autellix_bench.report.systems import look

__all__ = ["DARK", "LIGHT", "Plot", "Theme", "figure", "legend", "line", "logarithmic", "png"]

DPI = 144


@dataclass(frozen=True, slots=True)
class Theme:
    """The colours that depend on what a page is read on."""

    name: str
    paper: str
    ink: str
    faint: str
    grid: str

    def colour(self, system: str) -> str:
        """Of a system."""
        return look(system).colour or self.ink


LIGHT = Theme("light", paper="#ffffff", ink="#1b1f24", faint="#59636e", grid="#e3e6ea")
DARK = Theme("dark", paper="#15181c", ink="#e6e8eb", faint="#9aa4af", grid="#2c3138")


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture to be drawn, what it says in words, and the paper's claims that it bears on."""

    name: str
    """Of its file, without the ending."""
    draw: Callable[[Theme], Figure]
    alt: str
    caption: str
    claims: tuple[str, ...] = ()


def png(plot: Plot, theme: Theme) -> bytes:
    """The picture. Neither a date nor a version is in it, and no configuration of the user's changes it."""
    with matplotlib.style.context(["default", _style(theme)]):
        file = io.BytesIO()
        FigureCanvasAgg(plot.draw(theme)).print_png(file, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return file.getvalue()


def figure(
    columns: int, rows: int = 1, *, width: float = 10.0, height: float = 3.2, **given: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of this many panels, in inches, ``height`` a row, and its panels row by row."""
    made = Figure(figsize=(width, height * rows), layout="constrained")
    panels = made.subplots(rows, columns, squeeze=False, **given)
    return made, [panel for row in panels for panel in row]


def line(panel: Axes, theme: Theme, system: str, x: Sequence[float], runs: Sequence[Sequence[float]]) -> None:
    """A system's median over seeds at each x, and a band from the lowest seed to the highest."""
    seen, colour = look(system), theme.colour(system)
    panel.plot(
        x,
        [median(values) for values in runs],
        color=colour,
        linestyle=seen.dash,
        marker=seen.marker,
        markersize=5 if seen.ours else 4,
        linewidth=2.6 if seen.ours else 1.5,
        zorder=4 if seen.ours else 3,
        label=seen.name,
    )
    panel.fill_between(x, [min(v) for v in runs], [max(v) for v in runs], color=colour, alpha=0.16, linewidth=0)


def logarithmic(panel: Axes, axis: str = "y") -> None:
    """A logarithmic axis with plain numbers on it, where there is anything positive to show."""
    if math.isinf(panel.dataLim.minposy if axis == "y" else panel.dataLim.minposx):
        return
    chosen = panel.yaxis if axis == "y" else panel.xaxis
    (panel.set_yscale if axis == "y" else panel.set_xscale)("log")
    low, high = sorted(panel.get_ylim() if axis == "y" else panel.get_xlim())
    subs = (1.0, 2.0, 5.0) if high / low < 300 else (1.0,)
    chosen.set_major_locator(LogLocator(subs=subs))
    chosen.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    chosen.set_minor_formatter(NullFormatter())


def legend(drawn: Figure, panels: Sequence[Axes], *, columns: int = 4) -> None:
    """One legend below all panels, each name once."""
    entries: dict[str, Any] = {}
    for panel in panels:
        for handle, name in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(name, handle)
    if entries:
        drawn.legend(list(entries.values()), list(entries), loc="outside lower center", ncols=columns)


def _style(theme: Theme) -> dict[str, Any]:
    return {
        "figure.dpi": DPI,
        "figure.facecolor": theme.paper,
        "axes.facecolor": theme.paper,
        "text.color": theme.ink,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "axes.edgecolor": theme.faint,
        "xtick.color": theme.faint,
        "ytick.color": theme.faint,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "grid.color": theme.grid,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "xtick.labelsize": 8.5,
        "ytick.labelsize": 8.5,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "legend.handlelength": 2.8,
        "font.family": "DejaVu Sans",
    }
