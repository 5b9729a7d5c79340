"""The load balancer, on as many engines as the paper had and more."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from autellix_bench.points import Point
from autellix_bench.report.claims import CLAIMS
from autellix_bench.report.content import Section, failures
from autellix_bench.report.drawing import Plot
from autellix_bench.report.findings import setting_gains
from autellix_bench.report.latencies import rate_panels
from autellix_bench.report.sections.throughput import GAINS, gain_table
from autellix_bench.report.settings import by_setting, of, slugs
from autellix_bench.report.systems import OURS

__all__ = ["section"]


def section(points: Sequence[Point]) -> Section | None:
    """A picture and a table a setting."""
    groups = by_setting(of(points, "placement"))
    if not groups:
        return None
    names, last = slugs(groups), list(groups)[-1]
    claims = tuple(claim.id for claim in CLAIMS if claim.experiment == "placement")
    tables = []
    for setting, group in groups.items():
        others = {point.system for point in group} - {OURS}
        found = {other: gains for other in others if (gains := setting_gains(group, ours=OURS, other=other))}
        if found:
            tables.append(gain_table(f"{GAINS}: {setting.title}", found))
    return Section(
        id="placement",
        title="Load balancer",
        intro="Algorithm 2 (a call of more than 2,048 tokens goes to its program's engine) against the same scheduling "
        "with calls placed on the least-used engine and in turn.",
        plots=tuple(
            Plot(
                name=f"placement-{names[setting]}",
                draw=partial(rate_panels, points=group, measures=("Mean", "P95", "P99")),
                alt=f"Program token latency against arrival rate, a line a placement: {setting.title}",
                caption=f"{setting.title}. Line: median over seeds; band: lowest to highest seed.{failures(group)}",
                claims=claims if setting == last else (),
            )
            for setting, group in groups.items()
        ),
        tables=tuple(tables),
    )
