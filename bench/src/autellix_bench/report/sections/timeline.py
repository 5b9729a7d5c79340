"""Which call was in which engine's batch when: a window of one run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from autellix_bench.report.content import Section
from autellix_bench.report.drawing import Plot, Theme, figure
from autellix_bench.report.lanes import by_engine, window
from autellix_bench.timeline import Stretch

__all__ = ["section"]

Colour = Callable[[Stretch], str]

_MOST_ENGINES = 4
_PROGRAM_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#56b4e9")


def section(stretches: Sequence[Stretch]) -> Section | None:
    """The same window twice, by level and by program."""
    if not stretches:
        return None
    began_s, ended_s = window(stretches)
    shown = [one for one in stretches if one.began_s <= ended_s and one.ended_s >= began_s]
    engines = len({one.engine for one in stretches})
    left_out = f" The first {_MOST_ENGINES} of {engines} engines." if engines > _MOST_ENGINES else ""
    caption = f"{began_s:.1f} to {ended_s:.1f} s of the run, a row a place in the batch.{left_out}"
    return Section(
        id="timeline",
        title="Timeline of calls",
        intro="Each bar is an uninterrupted stay of a call in an engine's batch. The whole run is in trace.json beside "
        "this page, for ui.perfetto.dev or chrome://tracing.",
        plots=(
            Plot(
                name="timeline-levels",
                draw=partial(_gantt, shown=shown, between=(began_s, ended_s), by=_by_level),
                alt="Gantt chart of calls in each engine's batch, coloured by queue level",
                caption=f"{caption} Colour: the queue level; 0 is served first.",
            ),
            Plot(
                name="timeline-programs",
                draw=partial(_gantt, shown=shown, between=(began_s, ended_s), by=_by_program),
                alt="Gantt chart of calls in each engine's batch, the busiest programs coloured",
                caption=f"{caption} Colour: the {len(_PROGRAM_COLOURS)} programs with the most time in this window.",
            ),
        ),
    )


def _gantt(
    theme: Theme,
    *,
    shown: list[Stretch],
    between: tuple[float, float],
    by: Callable[[Theme, list[Stretch]], tuple[Colour, dict[str, str]]],
) -> Figure:
    engines = dict(list(by_engine(shown).items())[:_MOST_ENGINES])
    drawn, panels = figure(1, len(engines), width=11.0, height=max(1.5, 4.8 / len(engines)), sharex=True)
    colour, names = by(theme, shown)
    for panel, (engine, placed) in zip(panels, engines.items(), strict=True):
        _bars(panel, theme, placed, colour)
        panel.set_xlim(*between)
        panel.set_ylim(1 + max(lane for lane, _ in placed), 0)
        panel.set_yticks([])
        panel.set_title(engine)
        panel.grid(visible=False, axis="y")
    panels[-1].set_xlabel("seconds since the load began")
    drawn.legend(
        handles=[Patch(facecolor=shade, label=name) for name, shade in names.items()],
        loc="outside lower center",
        ncols=min(len(names), 8),
    )
    return drawn


def _bars(panel: Axes, theme: Theme, placed: list[tuple[int, Stretch]], colour: Colour) -> None:
    edge = min(0.5, 8.0 / (1 + max(lane for lane, _ in placed)))
    bars = [Rectangle((one.began_s, lane + 0.08), one.ended_s - one.began_s, 0.84) for lane, one in placed]
    shades = [colour(one) for _, one in placed]
    panel.add_collection(PatchCollection(bars, facecolor=shades, edgecolor=theme.paper, linewidth=edge))


def _by_level(theme: Theme, shown: list[Stretch]) -> tuple[Colour, dict[str, str]]:
    levels = sorted({one.level for one in shown})
    scale = colormaps["cividis"]
    last = max(1, len(levels) - 1)
    shades = {}
    for place, level in enumerate(levels):
        red, green, blue, _ = scale(0.95 - 0.85 * place / last)
        shades[level] = f"#{round(255 * red):02x}{round(255 * green):02x}{round(255 * blue):02x}"
    return lambda one: shades[one.level], {f"level {level}": shade for level, shade in shades.items()}


def _by_program(theme: Theme, shown: list[Stretch]) -> tuple[Colour, dict[str, str]]:
    spent: Counter[str] = Counter()
    for one in shown:
        spent[one.program] += round((one.ended_s - one.began_s) * 1e6)
    busiest = sorted(spent, key=lambda program: (-spent[program], program))[: len(_PROGRAM_COLOURS)]
    shades = dict(zip(busiest, _PROGRAM_COLOURS, strict=False))
    return lambda one: shades.get(one.program, theme.grid), {**shades, "others": theme.grid}
