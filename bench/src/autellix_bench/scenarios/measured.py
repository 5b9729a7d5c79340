"""What is measured of a simulated run, by the names that scenarios have for it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass

from autellix_bench import records
from autellix_bench.points import Point
from autellix_bench.simulation import Run

__all__ = ["STATISTICS", "Measured", "measured"]

_LATENCIES = {"mean": "mean_s", "p50": "p50_s", "p95": "p95_s", "p99": "p99_s", "worst": "worst_s"}
"""Program token latencies in seconds a token, and the point's fields that they are."""
_COUNTERS = ("preemptions", "recomputed_tokens", "swapped_tokens", "cached_share", "peak_calls", "peak_waiting")

STATISTICS = (*_LATENCIES, "makespan", "longest_wait", "total_wait", *_COUNTERS)
"""``makespan`` and waits are seconds; waits are the calls' for a place in a batch."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run."""

    values: Mapping[str, float]
    """By the names in :data:`STATISTICS`."""
    digest: str
    """Of every call's record."""


def measured(run: Run, point: Point) -> Measured:
    """Of a run and what it was summed up to."""
    text = io.StringIO()
    records.write(run.calls, text)
    waits = [call.wait_s or 0.0 for call in run.calls]
    values = {
        **{name: getattr(point, field) for name, field in _LATENCIES.items()},
        "makespan": point.makespan_s,
        "longest_wait": max(waits),
        "total_wait": sum(waits),
        **{name: run.counters[name] for name in _COUNTERS},
    }
    return Measured(values, hashlib.sha256(text.getvalue().encode()).hexdigest())
