"""``simulate``: one simulated run."""

import argparse
from dataclasses import replace
from pathlib import Path

from autellix_bench import records
from autellix_bench.commands import loads, output, results
from autellix_bench.commands.facts import facts
from autellix_bench.commands.failures import Misused
from autellix_bench.commands.loads import Load
from autellix_bench.commands.options import amount, count
from autellix_bench.engine.profiles import PROFILES
from autellix_bench.points import Point, summed_up
from autellix_bench.records import by_program
from autellix_bench.simulation import SYSTEMS, Run
from autellix_bench.simulation import simulate as simulated

__all__ = ["arguments", "run"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is run, and where its records go."""
    loads.arguments(parser)
    loads.replay_argument(parser)
    add = parser.add_argument
    add("--system", choices=SYSTEMS, default="atlas", metavar="NAME", help=f"{', '.join(SYSTEMS)} (default: atlas)")
    profile = "a100-llama-3.1-8b"
    add("--profile", choices=PROFILES, default=profile, metavar="NAME", help=f"of {', '.join(PROFILES)}")
    add("--engines", type=count, default=1, metavar="N", help="(default: %(default)s)")
    add("--beta", type=amount, help="promote a call when its waiting is beta times its service (default: never)")
    add("--out", type=Path, metavar="FILE", help="each call's record, as JSON lines")
    add("--points", type=Path, metavar="FILE", help="append the run's point, as a JSON line")
    add("--trace", type=Path, metavar="FILE", help="who was in which batch when, for ui.perfetto.dev")


def run(given: argparse.Namespace) -> None:
    """Simulate, keep what is asked for, and print what it comes to."""
    load = loads.load(given)
    try:
        ended = simulated(
            load.programs(given.seed),
            replace(SYSTEMS[given.system], beta=given.beta),
            profile=PROFILES[given.profile],
            engines=given.engines,
            seed=given.seed,
            timeline=given.trace is not None,
        )
    except ValueError as error:
        raise Misused(str(error)) from error
    point = _point(ended, load, given)
    if given.out:
        with given.out.open("w", encoding="utf-8") as file:
            records.write(ended.calls, file)
    if given.points:
        results.append(point, given.points)
    if given.trace:
        _trace(ended, given.trace)
    output.summary(point, facts())


def _point(ended: Run, load: Load, given: argparse.Namespace) -> Point:
    return summed_up(
        by_program(ended.calls),
        experiment="latency" if load.rate else "makespan",
        system=given.system,
        workload=load.name,
        profile=given.profile,
        engines=given.engines,
        rate=load.rate,
        seed=given.seed,
        params={**ended.counters, **({} if given.beta is None else {"beta": given.beta})},
    )


def _trace(ended: Run, to: Path) -> None:
    from autellix_bench.report import trace  # matplotlib comes with it

    with to.open("w", encoding="utf-8") as file:
        trace.write(ended.stretches, file)
