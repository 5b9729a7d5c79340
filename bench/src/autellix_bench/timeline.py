"""When each call was in which engine's batch: what a Gantt chart and a trace viewer show."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import IO

__all__ = ["Stretch", "read", "write"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """One uninterrupted stay of a call in an engine's batch, on one level. Times are seconds since the load began."""

    program: str
    workload: str
    call: str
    engine: str
    level: int
    began_s: float
    ended_s: float


def write(stretches: Iterable[Stretch], to: IO[str]) -> None:
    """One line of JSON a stretch."""
    for stretch in stretches:
        to.write(json.dumps(asdict(stretch), separators=(",", ":"), sort_keys=True) + "\n")


def read(lines: Iterable[str]) -> Iterator[Stretch]:
    """The stretches of a file."""
    return (Stretch(**json.loads(line)) for line in lines)
