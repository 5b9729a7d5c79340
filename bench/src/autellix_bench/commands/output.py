"""Lines and tables on standard output, and what is going on on standard error."""

import sys
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from autellix_bench.points import Point

__all__ = ["note", "say", "show", "summary"]

_WIDTH = 160
"""Of a table where there is no terminal."""


def say(line: str) -> None:
    """On standard output, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """On standard error."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def show(table: Table) -> None:
    """On standard output."""
    console = Console(file=sys.stdout)
    if not console.is_terminal:
        console = Console(file=sys.stdout, width=_WIDTH)
    console.print(table)


def summary(point: Point, facts: Mapping[str, str]) -> None:
    """A run's numbers, and what they were made with."""
    table = Table(show_header=False, title=f"{point.system} on {point.workload}, {point.engines} x {point.profile}")
    failed = f", of which {point.failed} failed" if point.failed else ""
    rate = f"{point.rate:g} a second" if point.rate else "all at once"
    rows = {
        "programs": f"{point.programs}{failed}, {rate}",
        "program token latency": "ms a token",
        "  mean": f"{1e3 * point.mean_s:.2f}",
        "  P50": f"{1e3 * point.p50_s:.2f}",
        "  P95": f"{1e3 * point.p95_s:.2f}",
        "  P99": f"{1e3 * point.p99_s:.2f}",
        "makespan": f"{point.makespan_s:.1f} s",
        "tokens a second": f"{point.output_tokens / point.makespan_s:.1f}",
        **{name.replace("_", " "): _value(value) for name, value in point.params.items()},
        "seed": str(point.seed),
        **facts,
    }
    for name, value in rows.items():
        table.add_row(name, value)
    show(table)


def _value(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}" if abs(value) < 1000 else f"{value:.0f}"
