"""What ordering costs: the core's queues under each policy, timed, with nothing of an engine around them.

A step of an engine is a decision, and what became of it: calls that end, new ones in their place, victims put back.
The same calls pass under each policy, and all policies step in turn, so what disturbs the machine disturbs all alike.
This is a measurement, so unlike the simulations it is another one on each run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from autellix_bench.points import Point
from autellix_core.batch import Room
from autellix_core.latency import mean, percentile
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.queues import Queues

__all__ = ["measured"]

_SYSTEMS = {"vllm-opt": Policy.FCFS, "mlfq": Policy.MLFQ, "atlas": Policy.ATLAS}
_QUEUED = (10, 100, 1000, 5000)
_SLOTS = 64
_STEP_S = 0.02
_STEPS = 2000
_WARM_UP = 200
_MOST_SERVICE_S = 120.0
_MOST_STEPS = 400
"""Of a call: 8 seconds."""


@dataclass(slots=True)
class _Lane:
    """The queues of one policy."""

    policy: Policy
    chance: random.Random
    queues: Queues = field(default_factory=lambda: Queues(Levels.geometric()))
    now: float = 0.0
    steps_left: dict[str, int] = field(default_factory=dict)
    spent_s: list[float] = field(default_factory=list)

    def enter(self) -> None:
        name = str(len(self.steps_left))
        self.steps_left[name] = self.chance.randint(1, _MOST_STEPS)
        service_s = self.chance.uniform(0.0, _MOST_SERVICE_S)
        entry_s = service_s if self.policy is Policy.ATLAS else 0.0
        self.queues.enter(name, entry_s, now=self.now, policy=self.policy)

    def step(self) -> None:
        self.now += _STEP_S
        ended = []
        for call in list(self.queues.running):
            self.steps_left[call.id] -= 1
            if not self.steps_left[call.id]:
                ended.append(call.id)
        began_s = time.perf_counter()
        for name in ended:
            self.queues.leave(name)
        for _ in ended:
            self.enter()
        self._decide()
        self.spent_s.append(time.perf_counter() - began_s)

    def _decide(self) -> None:
        queues = self.queues
        queues.turn(now=self.now)
        free = _SLOTS - sum(runs for _, runs in queues.lengths())
        if free < 1 and not queues.contested:
            return
        chosen = queues.select(Room(free, 0), needs=_none, holds=_none, most_preemptions=4)
        for call in chosen.preempt:
            queues.preempted(call.id, now=self.now)
        for call in chosen.admit:
            queues.started(call.id, now=self.now)


def measured(*, seed: int) -> Iterator[Point]:
    """A point for each policy and number of queued calls; its "latencies" are those of a decision."""
    for queued in _QUEUED:
        lanes = {system: _Lane(policy, random.Random(seed)) for system, policy in _SYSTEMS.items()}  # noqa: S311
        for lane in lanes.values():
            for _ in range(_SLOTS + queued):
                lane.enter()
        for number in range(_WARM_UP + _STEPS):
            for lane in lanes.values():
                if number == _WARM_UP:
                    lane.spent_s.clear()
                lane.step()
        for system, lane in lanes.items():
            yield _point(system, lane.spent_s, queued, seed)


def _point(system: str, spent_s: list[float], queued: int, seed: int) -> Point:
    return Point(
        experiment="overhead",
        system=system,
        workload="queues",
        profile="this machine",
        engines=1,
        rate=0.0,
        seed=seed,
        programs=_STEPS,
        failed=0,
        output_tokens=0,
        makespan_s=sum(spent_s),
        mean_s=mean(spent_s),
        p50_s=percentile(spent_s, 0.5),
        p95_s=percentile(spent_s, 0.95),
        p99_s=percentile(spent_s, 0.99),
        worst_s=max(spent_s),
        params={"queued": queued, "decision_us": percentile(spent_s, 0.5) * 1e6, "mean_us": mean(spent_s) * 1e6},
    )


def _none(_: object) -> int:
    return 0
