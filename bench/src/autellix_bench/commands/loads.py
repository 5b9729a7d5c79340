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


def arguments(
    parser: argparse.ArgumentParser,
    *,
    rate: float = 0.5,
    programs: int = 200,
    tokens: float = 1.0,
    gaps: float = 1.0,
    longest_tokens: int | None = None,
) -> None:
    """``--workload``, its size, and its scale, with what they are if they are not given."""
    parser.set_defaults(usual_rate=rate, usual_programs=programs)
    add = parser.add_argument
    add("--workload", choices=WORKLOADS, default="mixed", help="what the programs are (default: %(default)s)")
    add("--rate", type=amount, metavar="PROGRAMS/S", help=f"0: all at once (default: {rate:g})")
    add("--programs", type=count, metavar="N", help=f"how many (default: {programs})")
    add("--seed", type=int, default=1, help="of programs and arrivals (default: %(default)s)")
    add(
        "--tokens",
        type=amount,
        metavar="FACTOR",
        default=tokens,
        help="shrink prompts and answers (default: %(default)g)",
    )
    add(
        "--gaps",
        type=amount,
        metavar="FACTOR",
        default=gaps,
        help="shrink time with tools and people (default: %(default)g)",
    )
    fit = f"fit every call, prompt and answer, into so many (default: {longest_tokens or 'as they are'})"
    add("--longest-tokens", type=count, default=longest_tokens, metavar="N", help=fit)


def replay_argument(parser: argparse.ArgumentParser) -> None:
    """``--replay``, in place of a workload."""
    about = "programs from a file, in place of a workload: all, at its own times, unless --programs or --rate is given"
    parser.add_argument("--replay", type=Path, metavar="FILE", help=about)


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
    rate = given.usual_rate if given.rate is None else given.rate
    number = given.programs or given.usual_programs
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
