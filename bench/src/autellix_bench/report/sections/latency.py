"""Program token latency against arrival rate, for each workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from autellix_bench.curves import Measure, best
from autellix_bench.points import Point
from autellix_bench.report.claims import TAIL_RIVALS
from autellix_bench.report.content import Section, Table, failures, gain_cell
from autellix_bench.report.drawing import Plot
from autellix_bench.report.findings import setting_gains
from autellix_bench.report.latencies import rate_panels
from autellix_bench.report.settings import Setting, by_setting, of, slugs
from autellix_bench.report.systems import OURS, look

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
        tables=_tails(groups),
    )


def _tails(groups: Mapping[Setting, list[Point]]) -> tuple[Table, ...]:
    columns = [(measure, other) for measure in (Measure.P95, Measure.P99) for other in TAIL_RIVALS]
    rows = []
    for setting, group in groups.items():
        found = [best(setting_gains(group, ours=OURS, other=other, measure=m)) for m, other in columns]
        if any(found):
            rows.append((setting.title, *(gain_cell(gain) for gain in found)))
    head = ("Workload", *(f"{measure.value}, over {look(other).name}" for measure, other in columns))
    caption = (
        f"The highest ratio of sustained rates at equal tail latency, {look(OURS).name} over others, with 95% intervals"
    )
    return (Table(caption, head, tuple(rows)),) if rows else ()


def _plot(setting: Setting, points: list[Point], name: str, claims: tuple[str, ...]) -> Plot:
    return Plot(
        name=f"latency-{name}",
        draw=partial(rate_panels, points=points, measures=("Mean", "P95", "P99")),
        alt=f"Mean, P95 and P99 of program token latency against arrival rate, a line a system: {setting.title}",
        caption=f"{setting.title}. Line: median over seeds; band: lowest to highest seed.{failures(points)}",
        claims=claims,
    )
