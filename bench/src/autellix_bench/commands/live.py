"""``live``: a load sent to a server, or to several in turn."""

import argparse
import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from autellix_bench import records
from autellix_bench.commands import loads, output, results, targets
from autellix_bench.commands.facts import facts
from autellix_bench.commands.failures import Failed
from autellix_bench.commands.loads import Load
from autellix_bench.live import Drive, Target, drive, progress
from autellix_bench.points import summed_up
from autellix_bench.records import CallRecord

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is sent, where to and how, and what is kept."""
    add = parser.add_argument
    add("--url", action="append", required=True, metavar="URL", help="as http://127.0.0.1:8000; several: in turn")
    targets.arguments(parser)
    loads.arguments(parser)
    loads.replay_argument(parser)
    how = "how a call says whose it is: none, autellix, header or header:NAME (default: none)"
    add("--sessions", type=targets.told, default=None, metavar="HOW", help=how)
    add("--system", default="live", metavar="NAME", help="what the point calls it (default: %(default)s)")
    add("--records", type=Path, metavar="FILE", help="each call's record, as JSON lines, as they end")
    add("--points", type=Path, metavar="FILE", help="append the run's point, as a JSON line")


def run(given: argparse.Namespace) -> None:
    """Send everything, print what the driver took and what the run comes to.

    :raises Failed: if no program succeeded.
    """
    load = loads.load(given)
    target = targets.target(given, given.url, given.sessions)
    with ExitStack() as stack:
        record: Callable[[CallRecord], None] = _forgotten
        if given.records:
            record = _kept(stack.enter_context(given.records.open("w", encoding="utf-8")))
        watch = stack.enter_context(progress(load.count(given.seed)))
        ended = asyncio.run(drive(load.programs(given.seed), target, record=record, watch=watch))
    for sentence in ended.sentences():
        output.say(sentence)
    _summarise(ended, load, target, given)


def _kept(file: IO[str]) -> Callable[[CallRecord], None]:
    return lambda call: records.write([call], file)


def _forgotten(_: CallRecord) -> None:
    pass


def _summarise(ended: Drive, load: Load, target: Target, given: argparse.Namespace) -> None:
    try:
        point = summed_up(
            ended.programs,
            experiment="live",
            system=given.system,
            workload=load.name,
            profile="live",
            engines=len(target.urls),
            rate=load.rate,
            seed=given.seed,
            params=ended.params,
        )
    except ValueError as error:
        raise Failed(f"{error} The records (--records) say why.") from error
    if given.points:
        results.append(point, given.points)
    output.summary(point, facts())
