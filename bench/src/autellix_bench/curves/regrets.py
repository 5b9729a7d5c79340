"""How much of the gap between FCFS and clairvoyant SRPT a policy closes: what it gives away by knowing no future."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from autellix_bench.curves.intervals import Interval, mean_interval
from autellix_bench.points import Point

__all__ = ["SMALLEST_GAP", "Regret", "regrets"]

SMALLEST_GAP = 0.05
"""Where SRPT saves a smaller share of FCFS's latency there is next to nothing to close, and no share of it is given."""


@dataclass(frozen=True, slots=True)
class Regret:
    """The closed share of the gap in mean latency: 1 is as good as SRPT, 0 as FCFS, less than 0 worse than FCFS."""

    workload: str
    profile: str
    engines: int
    rate: float
    system: str
    closed: Interval


def regrets(points: Iterable[Point], *, fcfs: str, srpt: str = "srpt") -> list[Regret]:
    """``(fcfs - policy) / (fcfs - srpt)`` for each load and other policy, over the seeds that all three have."""
    loads: dict[tuple[str, str, int, float], dict[str, dict[int, float]]] = {}
    for point in points:
        load = loads.setdefault((point.workload, point.profile, point.engines, point.rate), {})
        load.setdefault(point.system, {})[point.seed] = point.mean_s
    found = []
    for load_key, by_system in sorted(loads.items()):
        worst, optimum = by_system.pop(fcfs, {}), by_system.pop(srpt, {})
        gaps = {seed: worst[seed] - optimum[seed] for seed in worst.keys() & optimum.keys()}
        if not gaps or any(gap < SMALLEST_GAP * worst[seed] for seed, gap in gaps.items()):
            continue
        for system, by_seed in sorted(by_system.items()):
            closed = [(worst[seed] - by_seed[seed]) / gaps[seed] for seed in sorted(gaps.keys() & by_seed.keys())]
            if closed:
                found.append(Regret(*load_key, system, mean_interval(closed)))
    return found
