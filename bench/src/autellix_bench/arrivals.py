"""When programs arrive: an open-loop Poisson process, as in the paper's evaluation (section 6)."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import repeat
from random import Random

from autellix_bench.programs import Program

__all__ = ["arriving", "poisson"]


def poisson(rate: float, rng: Random) -> Iterator[float]:
    """Times of arrival, ``rate`` a second; a rate of 0 means that all are there at 0.

    What is drawn does not depend on the rate: the same ``rng`` gives the same arrivals at every rate but for their
    scale, and leaves the same numbers to whoever draws between them.

    :raises ValueError: if the rate is none.
    """
    if not (math.isfinite(rate) and rate >= 0):
        raise ValueError(f"The rate is programs a second, 0 for all at once, not {rate}.")
    return _poisson(rate, rng)


def arriving(programs: Iterable[Program], *, rate: float | None, seed: int) -> Iterator[Program]:
    """These programs, lazily, in their order, with Poisson arrivals instead of their own; None keeps their own."""
    if rate is None:
        return iter(programs)
    times = poisson(rate, Random(seed))  # noqa: S311 - repeatable, not secret
    return (replace(program, arrival_s=at) for program, at in zip(programs, times, strict=False))


def _poisson(rate: float, rng: Random) -> Iterator[float]:
    elapsed = 0.0
    for mean in repeat(1.0):
        elapsed += rng.expovariate(mean)
        yield elapsed / rate if rate else 0.0
