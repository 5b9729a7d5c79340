"""One measured point: a system under a load, summed up. Tables, curves and pictures are made of points alone."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import IO

from autellix_bench.records import ProgramRecord
from autellix_core.latency import mean, percentile

__all__ = ["Point", "read", "summed_up", "write"]


@dataclass(frozen=True, slots=True)
class Point:
    """Latencies are program token latencies in seconds a token, over the programs that succeeded."""

    experiment: str
    """Which question it answers; a report groups by it."""
    system: str
    workload: str
    profile: str
    """The engines: a profile's name, or ``live``."""
    engines: int
    rate: float
    """Programs a second that arrive; 0 where all are there from the beginning."""
    seed: int
    """Of the workload in a simulation, the repetition of a live run."""
    programs: int
    failed: int
    output_tokens: int
    makespan_s: float
    """From the first arrival to the last answer."""
    mean_s: float
    p50_s: float
    p95_s: float
    p99_s: float
    worst_s: float
    params: Mapping[str, float | str] = field(default_factory=dict)
    """What else was set or counted: beta, preemptions, recomputed tokens, cached share, schedule slip."""


def summed_up(
    programs: Sequence[ProgramRecord],
    *,
    experiment: str,
    system: str,
    workload: str,
    profile: str,
    engines: int,
    rate: float,
    seed: int,
    params: Mapping[str, float | str] | None = None,
) -> Point:
    """The point of these programs.

    :raises ValueError: if none of them succeeded.
    """
    latencies = [program.token_latency_s for program in programs if not program.failed]
    if not latencies:
        raise ValueError(f"No program of {len(programs)} succeeded under {system}; there is nothing to sum up.")
    return Point(
        experiment=experiment,
        system=system,
        workload=workload,
        profile=profile,
        engines=engines,
        rate=rate,
        seed=seed,
        programs=len(programs),
        failed=len(programs) - len(latencies),
        output_tokens=sum(program.output_tokens for program in programs),
        makespan_s=max(program.ended_s for program in programs) - min(program.arrival_s for program in programs),
        mean_s=mean(latencies),
        p50_s=percentile(latencies, 0.5),
        p95_s=percentile(latencies, 0.95),
        p99_s=percentile(latencies, 0.99),
        worst_s=max(latencies),
        params=dict(params or {}),
    )


def write(points: Iterable[Point], to: IO[str]) -> None:
    """One line of JSON a point."""
    for point in points:
        to.write(json.dumps(asdict(point), sort_keys=True) + "\n")


def read(lines: Iterable[str]) -> Iterator[Point]:
    """The points of a file."""
    return (Point(**json.loads(line)) for line in lines)
