"""``experiments``: the simulated runs that answer the evaluation's questions, into a folder of results."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autellix_bench.commands import output
from autellix_bench.commands.facts import facts
from autellix_bench.commands.failures import Misused
from autellix_bench.commands.options import PROCESSES, count
from autellix_bench.commands.results import Results
from autellix_bench.experiments import EXPERIMENTS, SEEDS, each, overhead, timelines
from autellix_bench.experiments import run as simulated
from autellix_bench.experiments.tasks import Task
from autellix_bench.points import Point
from autellix_bench.timeline import Stretch

__all__ = ["NAMES", "arguments", "run"]

OVERHEAD, TIMELINE = "overhead", "timeline"
NAMES = (*EXPERIMENTS, OVERHEAD, TIMELINE)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which, on how many processes, and where to."""
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)} (default: all)")
    parser.add_argument("--processes", type=count, default=PROCESSES, metavar="N", help="(default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="(default: %(default)s)")


def run(given: argparse.Namespace) -> None:
    """One after another; what is finished is kept whatever happens to the next.

    :raises Misused: if there is no such experiment.
    """
    if strangers := [name for name in given.names if name not in NAMES]:
        raise Misused(f"there is no experiment {strangers[0]!r}; there is {', '.join(NAMES)}")
    results = Results(given.out)
    for name in dict.fromkeys(given.names or NAMES):
        began_s = time.monotonic()
        runs = _timeline(results, given.processes) if name == TIMELINE else _points(name, results, given.processes)
        output.say(f"{name}: {runs} runs in {time.monotonic() - began_s:.1f} s")


def _points(name: str, results: Results, processes: int) -> int:
    tasks = [] if name == OVERHEAD else list(EXPERIMENTS[name]())
    coming = simulated(tasks, processes=processes) if tasks else _overhead()
    with _watched(name, coming, len(tasks) or None) as points:
        found = list(points)
    results.keep_points(name, found, facts())
    return len(found)


def _overhead() -> Iterator[Point]:
    """On one process, since it is a measurement."""
    for seed in SEEDS:
        yield from overhead.measured(seed=seed)


def _timeline(results: Results, processes: int) -> int:
    tasks = timelines()
    runs = list(each(_stretches, tasks, processes=min(processes, len(tasks))))
    results.keep_stretches((stretch for run in runs for stretch in run), facts())
    return len(runs)


def _stretches(task: Task) -> Sequence[Stretch]:
    """A run's timeline, whose engines bear the system's name, since several runs stand on one page."""
    return [
        replace(stretch, engine=f"{task.system} {stretch.engine}")
        for stretch in task.simulated(timeline=True).stretches
    ]


@contextmanager
def _watched(name: str, points: Iterator[Point], total: int | None) -> Iterator[Iterator[Point]]:
    """The points, with a bar for who waits at a terminal."""
    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task(name, total=total)

        def each_seen() -> Iterator[Point]:
            for point in points:
                shown.advance(task)
                yield point

        yield each_seen()
