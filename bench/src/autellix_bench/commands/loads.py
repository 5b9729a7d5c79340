"""Which programs: options that commands share, and the load that they make."""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from autellix_bench import replay
from autellix_bench.arrivals import arriving
from autellix_bench.commands.failures import Misused
from autellix_bench.commands.options import amount, count
from autellix_bench.programs import Program
from autellix_bench.workloads import WORKLOADS, generate, scaled

__all__ = ["Load", "arguments", "load", "replay_argument"]

RATE, PROGRAMS = 0.5, 200


@dataclass(frozen=True, slots=True)
class Load:
    """Programs in order of arrival."""

    name: str
    rate: float
    """Programs a second; of a file that keeps its own times, their mean."""
    programs: Callable[[int], Iterator[Program]]
    """Those of a seed, the same ones each time. They may raise ValueError while they come."""

    def count(self, seed: int) -> int:
        """How many come, once all have been made: so that a flaw is found before the first is sent.

        :raises Misused: if one cannot be made.
        """
        try:
            return sum(1 for _ in self.programs(seed))
        except ValueError as error:
            raise Misused(str(error)) from error


def arguments(parser: argparse.ArgumentParser) -> None:
    """``--workload``, its size, and its scale."""
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="mixed", help="what the programs are (default: %(default)s)")
    add("--rate", type=amount, metavar="PROGRAMS/S", help=f"0: all at once (default: {RATE}, or a file's own times)")
    add("--programs", type=count, metavar="N", help=f"how many (default: {PROGRAMS}, or all of a file)")
    add("--seed", type=int, default=1, help="of programs and arrivals (default: %(default)s)")
    add("--tokens", type=amount, default=1.0, metavar="FACTOR", help="shrink prompts and answers (default: 1)")
    add("--gaps", type=amount, default=1.0, metavar="FACTOR", help="shrink time with tools and people (default: 1)")
    add("--longest-tokens", type=count, metavar="N", help="fit every call, prompt and answer, into so many tokens")


def replay_argument(parser: argparse.ArgumentParser) -> None:
    """``--replay``, in place of a workload."""
    parser.add_argument("--replay", type=Path, metavar="FILE", help="programs from a file, in place of a workload")


def load(given: argparse.Namespace) -> Load:
    """What these options ask for.

    :raises Misused: if there is no such load.
    """
    file: Path | None = getattr(given, "replay", None)
    made = _drawn(given) if file is None else _replayed(file, given)

    def programs(seed: int) -> Iterator[Program]:
        return scaled(made.programs(seed), tokens=given.tokens, gaps=given.gaps, longest_tokens=given.longest_tokens)

    try:
        programs(given.seed)
    except ValueError as error:
        raise Misused(str(error)) from error
    return Load(made.name, made.rate, programs)


def _drawn(given: argparse.Namespace) -> Load:
    rate = RATE if given.rate is None else given.rate
    number = given.programs or PROGRAMS
    return Load(given.workload, rate, lambda seed: generate(given.workload, rate=rate, programs=number, seed=seed))


def _replayed(file: Path, given: argparse.Namespace) -> Load:
    try:
        with file.open(encoding="utf-8") as lines:
            known = sorted(replay.read(lines), key=lambda program: program.arrival_s)[: given.programs]
    except OSError as error:
        raise Misused(f"--replay {file}: {error.strerror}.") from error
    except ValueError as error:
        raise Misused(f"--replay {file}: {error}") from error
    if not known:
        raise Misused(f"--replay {file}: there is no program in it.")
    lasts_s = known[-1].arrival_s - known[0].arrival_s
    own = (len(known) - 1) / lasts_s if lasts_s else 0.0
    return Load(
        file.stem,
        own if given.rate is None else given.rate,
        lambda seed: arriving(known, rate=given.rate, seed=seed),
    )
