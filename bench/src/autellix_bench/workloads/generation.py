"""Programs by the name of their workload, one after another, as they arrive."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from autellix_bench.arrivals import poisson
from autellix_bench.programs import Call, Program
from autellix_bench.workloads import agentic, bfcl, lats, sharegpt

__all__ = ["WORKLOADS", "generate"]

WORKLOADS = ("sharegpt", "bfcl", "lats", "mixed", "agentic")
"""Their names. ``mixed`` is equal parts of the first three, by program."""

_MIXED = WORKLOADS[:3]


def generate(
    workload: str, *, rate: float, programs: int, seed: int, context_tokens: int = agentic.CONTEXT_TOKENS
) -> Iterator[Program]:
    """So many programs, lazily, ``rate`` a second by a Poisson process; 0 means that all are there at 0.

    The same seed gives the same programs at every rate, arriving in the same rhythm, and the first n of them are the
    same however many are asked for. Each program of ``mixed`` is drawn from one of three workloads with equal chance
    and bears that one's name, so that results can be grouped by it.

    :param context_tokens: the window that ``agentic`` scales to; the others follow the paper's lengths whatever it is
        (:func:`autellix_bench.workloads.scaled` fits them into a small model).
    :raises ValueError: if the name, the rate, the number or the window is none.
    """
    if workload not in WORKLOADS:
        raise ValueError(f"There is no workload {workload!r}: choose one of {', '.join(WORKLOADS)}.")
    if programs < 0:
        raise ValueError(f"The number of programs cannot be {programs}.")
    draws: dict[str, Callable[[Random], tuple[Call, ...]]] = {
        "sharegpt": sharegpt.calls,
        "bfcl": bfcl.calls,
        "lats": lats.calls,
        "agentic": agentic.agent(context_tokens),
    }
    kinds = _MIXED if workload == "mixed" else (workload,)
    rng = Random(seed)  # noqa: S311 - repeatable, not secret
    return _programs([(kind, draws[kind]) for kind in kinds], poisson(rate, rng), rng, programs)


def _programs(
    kinds: Sequence[tuple[str, Callable[[Random], tuple[Call, ...]]]],
    arrivals: Iterator[float],
    rng: Random,
    programs: int,
) -> Iterator[Program]:
    for number in range(programs):
        arrival_s = next(arrivals)
        name, draw = rng.choice(kinds)
        yield Program(f"{name}-{number}", name, arrival_s, draw(rng))
