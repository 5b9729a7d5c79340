"""One run of the simulator as a point: a task says everything that the run depends on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from autellix_bench.engine.profiles import PROFILES
from autellix_bench.points import Point, summed_up
from autellix_bench.records import CallRecord, by_program
from autellix_bench.simulation import SYSTEMS, Run, simulate
from autellix_bench.workloads import generate

__all__ = ["Task"]

_COUNTED = ("preemptions", "recomputed_tokens", "cached_share", "peak_calls", "peak_waiting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One simulated run. The same task gives the same point, on any machine and in any order."""

    experiment: str
    system: str
    workload: str
    rate: float
    seed: int
    programs: int
    profile: str = "a100-llama-3.1-8b"
    engines: int = 1
    beta: float | None = None
    params: Mapping[str, float | str] = field(default_factory=dict)
    """Of the point, beside what is counted."""

    def simulated(self, *, timeline: bool = False) -> Run:
        """The run as it is."""
        return simulate(
            generate(self.workload, rate=self.rate, programs=self.programs, seed=self.seed),
            replace(SYSTEMS[self.system], beta=self.beta),
            profile=PROFILES[self.profile],
            engines=self.engines,
            seed=self.seed,
            timeline=timeline,
        )

    def point(self) -> Point:
        """What the run comes to."""
        run = self.simulated()
        counted = {name: run.counters[name] for name in _COUNTED}
        return summed_up(
            by_program(run.calls),
            experiment=self.experiment,
            system=self.system,
            workload=self.workload,
            profile=self.profile,
            engines=self.engines,
            rate=self.rate,
            seed=self.seed,
            params={**counted, "longest_wait_s": _longest_wait_s(run.calls), **self.params},
        )


def _longest_wait_s(calls: list[CallRecord]) -> float:
    return max((call.wait_s or 0.0 for call in calls), default=0.0)
