"""When each call was in which engine's batch: what a Gantt chart and a trace viewer show."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Stretch"]


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
