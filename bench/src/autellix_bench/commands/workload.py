"""``workload``: programs into a file that can be replayed, or what they are made of."""

import argparse
from dataclasses import fields
from pathlib import Path

from rich.table import Table

from autellix_bench import replay
from autellix_bench.commands import loads, output
from autellix_bench.commands.failures import Misused
from autellix_bench.workloads import Spread, statistics

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which programs, and where to."""
    loads.arguments(parser)
    loads.replay_argument(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="write them; without it their statistics are printed")


def run(given: argparse.Namespace) -> None:
    """Write, or print."""
    load = loads.load(given)
    try:
        if given.out:
            with given.out.open("w", encoding="utf-8") as file:
                replay.write(load.programs(given.seed), file)
            return
        found = statistics(load.programs(given.seed))
    except ValueError as error:
        raise Misused(str(error)) from error
    table = Table("", "mean", "median", "P95", "P99", "most", title=f"{load.name}, seed {given.seed}")
    for each in fields(found):
        value, name = getattr(found, each.name), each.name.replace("_", " ")
        if isinstance(value, Spread):
            table.add_row(name, *(f"{number:.4g}" for number in _spread(value)))
        else:
            table.add_row(name, f"{value:.4g}" if isinstance(value, float) else str(value))
    output.show(table)


def _spread(value: Spread) -> tuple[float, ...]:
    return value.mean, value.median, value.p95, value.p99, value.most
