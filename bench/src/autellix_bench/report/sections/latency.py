"""Program token latency against arrival rate, for each workload."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from autellix_bench.points import Point
from autellix_bench.report.content import Section, failures
from autellix_bench.report.drawing import Plot
from autellix_bench.report.latencies import rate_panels
from autellix_bench.report.settings import Setting, by_setting, of, slugs

__all__ = ["section"]


def section(points: Sequence[Point]) -> Section | None:
    """A picture a workload; the tails' claim stands below the last."""
    groups = by_setting(of(points, "latency"))
    names = slugs(groups)
    if not groups:
        return None
    last = list(groups)[-1]
    return Section(
        id="latency",
        title="Latency against arrival rate",
        intro="Programs arrive by a Poisson process; each program's response time is divided by the tokens it was "
        "given. The later a line turns up, the more load its system carries.",
        plots=tuple(
            _plot(setting, group, names[setting], ("tails",) if setting == last else ())
            for setting, group in groups.items()
        ),
    )


def _plot(setting: Setting, points: list[Point], name: str, claims: tuple[str, ...]) -> Plot:
    return Plot(
        name=f"latency-{name}",
        draw=partial(rate_panels, points=points, measures=("Mean", "P95", "P99")),
        alt=f"Mean, P95 and P99 of program token latency against arrival rate, a line a system: {setting.title}",
        caption=f"{setting.title}. Line: median over seeds; band: lowest to highest seed.{failures(points)}",
        claims=claims,
    )
