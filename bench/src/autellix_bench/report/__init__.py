"""Points as one HTML page and its pictures, with the paper's claims beside ours.

page          the HTML file: contents, claims, figures, tables
sections      one module a question
claims        the paper's claims as data, and (findings, checks) what points say to them
trace, lanes  a run's timeline for a trace viewer
drawing       matplotlib in one style, light and dark
systems       what each system is called and how it looks
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from autellix_bench.points import Point
from autellix_bench.report import claims, trace
from autellix_bench.report.content import Section
from autellix_bench.report.drawing import DARK, LIGHT, png
from autellix_bench.report.page import Drawn, page
from autellix_bench.report.sections import (
    fairness,
    latency,
    live,
    makespan,
    optimum,
    overhead,
    placement,
    scale_out,
    throughput,
    timeline,
)
from autellix_bench.timeline import Stretch

__all__ = ["write"]

TITLE = "Autellix: program token latency, measured"

_QUESTIONS: Mapping[str, tuple[str, Callable[[Sequence[Point]], Section | None]]] = {
    "live": ("live", live.section),
    "latency": ("latency", latency.section),
    "throughput at equal latency": ("latency", throughput.section),
    "load balancer": ("placement", placement.section),
    "scale-out": ("scale-out", scale_out.section),
    "offline makespan": ("makespan", makespan.section),
    "scheduling overhead": ("overhead", overhead.section),
    "gap to the optimum": ("optimum", optimum.section),
    "fairness": ("fairness", fairness.section),
}
"""Each section's name, the experiment whose points it is made of, and how."""


def write(
    points: Iterable[Point],
    *,
    facts: Mapping[str, str],
    out: Path,
    stretches: Sequence[Stretch] | None = None,
    reasons: Mapping[str, str] | None = None,
    title: str = TITLE,
) -> Path:
    """Write ``out/index.html``, its pictures as ``out/*.png`` and, with stretches, ``out/trace.json``; give the page.

    Facts stand at the top: versions, seeds, the command. Reasons say, by a claim's id, why ours differs from the
    paper's. An experiment without points is left out with a sentence. The same arguments give the same bytes.

    :raises ValueError: if a reason is for no claim, or there are two points of one system, load and seed.
    """
    known, given = tuple(points), dict(reasons or {})
    if strangers := sorted(given.keys() - {claim.id for claim in claims.CLAIMS}):
        raise ValueError(f"Reasons for {', '.join(strangers)}, which are no claims; see autellix_bench.report.claims.")
    sections, missing = _sections(known, stretches or ())
    out.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for plot in (plot for section in sections for plot in section.plots):
        pictures[plot.name] = Drawn(light=png(plot, LIGHT), dark=png(plot, DARK))
        (out / f"{plot.name}.png").write_bytes(pictures[plot.name].light)
    if stretches:
        with (out / "trace.json").open("w", encoding="utf-8") as file:
            trace.write(stretches, file)
    text = page(
        sections,
        title=title,
        facts=facts,
        missing=missing,
        found=claims.found(known),
        reasons=given,
        pictures=pictures,
    )
    written = out / "index.html"
    written.write_text(text, encoding="utf-8")
    return written


def _sections(points: Sequence[Point], stretches: Sequence[Stretch]) -> tuple[list[Section], list[str]]:
    made = {name: section(points) for name, (_, section) in _QUESTIONS.items()}
    missing = [
        f"{name.capitalize()}: there are no points for it (experiment “{_QUESTIONS[name][0]}”)."
        for name, one in made.items()
        if one is None
    ]
    timed = timeline.section(stretches)
    if timed is None:
        missing.append("Timeline: no run's timeline was given.")
    return [one for one in (*made.values(), timed) if one is not None], missing
