"""``check``: scenarios against the ranges that are accepted of them."""

import argparse
from pathlib import Path

from autellix_bench.commands import output
from autellix_bench.commands.failures import Failed, Misused
from autellix_bench.commands.options import PROCESSES, count
from autellix_bench.scenarios import checked, read

__all__ = ["arguments", "run"]

_USUAL = Path("bench/scenarios")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which scenarios."""
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help=f"(default: {_USUAL}/*.yaml)")
    parser.add_argument("--processes", type=count, default=PROCESSES, metavar="N", help="(default: %(default)s)")


def run(given: argparse.Namespace) -> None:
    """A line for each expectation, and the reason of those that are not met.

    :raises Failed: if one is not met.
    """
    files = given.files or sorted(_USUAL.glob("*.yaml"))
    if not files:
        raise Misused(f"There are no scenarios in {_USUAL}: run this in the checkout, or name their files.")
    try:
        scenarios = [read(file) for file in files]
    except OSError as error:
        raise Misused(f"{error.filename}: {error.strerror}.") from error
    except ValueError as error:
        raise Misused(str(error)) from error
    missed = total = 0
    try:
        for scenario, outcomes in checked(scenarios, processes=given.processes):
            for expected, outcome in zip(scenario.expect, outcomes, strict=True):
                output.say(f"{'ok' if outcome.met else 'OUTSIDE':7} {scenario.name}: {outcome.sentence}")
                if not outcome.met:
                    output.say(f"{'':7} because: {expected.because}")
                missed += not outcome.met
                total += 1
    except ValueError as error:
        raise Failed(str(error)) from error
    if missed:
        raise Failed(f"{missed} of {total} expectations are not met.")
    output.say(f"All {total} expectations of {len(scenarios)} scenarios are met.")
