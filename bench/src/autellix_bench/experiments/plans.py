"""The tasks of each experiment: systems, rates, seeds, sizes.

Rates lie around the knee of vLLM's own order, found by a coarse sweep, since a curve that is far from it on both sides
tells systems apart by interpolation alone. A run has as many programs as it takes for calls to queue beyond the knee;
the numbers are what two cores do in some ten minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from autellix_bench.experiments.tasks import Task

__all__ = ["EXPERIMENTS", "SEEDS", "timelines"]

SEEDS = (1, 2, 3, 4, 5)
"""Five, for a confidence interval of each ratio."""


@dataclass(frozen=True, slots=True)
class _Load:
    """How a workload is run on one engine of the first profile."""

    programs: int
    rates: tuple[float, ...]
    uncached_rates: tuple[float, ...]
    """For an engine without a prefix cache, which saturates much earlier."""


_LOADS: Mapping[str, _Load] = {
    "sharegpt": _Load(800, (0.8, 1.1, 1.4, 1.8, 2.4), (0.2, 0.35, 0.5)),
    "bfcl": _Load(300, (0.7, 0.95, 1.15, 1.35, 1.6), (0.04, 0.07, 0.1, 0.2)),
    "lats": _Load(40, (0.07, 0.1, 0.15), (0.01, 0.02)),
    "mixed": _Load(160, (0.2, 0.3, 0.42, 0.55, 0.75), (0.03, 0.06)),
    "agentic": _Load(40, (0.003, 0.0045, 0.0065, 0.009), ()),
}
_BASELINES = ("vllm", "vllm-opt", "mlfq")
_PEERS = ("las-gateway", "session-boost", "thunderagent", "continuum")
_OVERLAPPING = ("lats", "mixed")
"""Workloads whose programs have parallel calls: in the others ATLAS and PLAS are one."""

_PAIRED = ("latency", "placement", "optimum")
"""Experiments whose systems are set against one another seed by seed, with an interval of the ratio."""
Tasks = Iterator[Task]


def _latency() -> Tasks:
    for workload, load in _LOADS.items():
        plas = ("plas",) if workload in _OVERLAPPING else ()
        for system in (*_BASELINES, *_PEERS, *plas, "atlas", "srpt"):
            for rate in load.uncached_rates if system == "vllm" else load.rates:
                yield from _seeded("latency", system, workload, rate, load.programs)


def _placement() -> Tasks:
    for profile, engines, rates in (
        ("a100-llama-3.1-8b", 2, (0.6, 1.4, 2.2, 3.2)),
        ("a100-llama-3.1-8b", 4, (1.2, 2.8, 4.4, 6.4)),
        ("4xa100-llama-3.1-70b", 2, (0.3, 0.8, 1.3, 1.9)),
    ):
        for system in ("atlas", "atlas-least", "atlas-round-robin"):
            for rate in rates:
                yield from _seeded("placement", system, "sharegpt", rate, 200 * engines, profile, engines)


def _scale_out() -> Tasks:
    for engines in (1, 2, 4):
        for rate in (0.2, 0.3, 0.42, 0.55):
            yield from _seeded("scale-out", "atlas", "mixed", rate * engines, 100 * engines, engines=engines)


def _makespan() -> Tasks:
    for programs in (200, 400, 800):
        for system in ("vllm-opt", "mlfq", "atlas"):
            yield from _seeded("makespan", system, "sharegpt", 0.0, programs)


def _optimum() -> Tasks:
    for system in ("fcfs-least", "vllm-opt", "mlfq", *_PEERS, "atlas", "srpt"):
        yield from _seeded("optimum", system, "mixed", 1.0, 250, engines=2)


def _fairness() -> Tasks:
    for beta in (None, 1.0, 2.0, 4.0, 8.0):
        params: dict[str, float | str] = {"beta": "off" if beta is None else beta}
        for seed in SEEDS[:3]:
            yield Task(
                experiment="fairness",
                system="atlas",
                workload="mixed",
                rate=0.55,
                seed=seed,
                programs=200,
                beta=beta,
                params=params,
            )


def _seeded(
    experiment: str,
    system: str,
    workload: str,
    rate: float,
    programs: int,
    profile: str = "a100-llama-3.1-8b",
    engines: int = 1,
) -> Tasks:
    task = partial(
        Task,
        experiment=experiment,
        system=system,
        workload=workload,
        rate=rate,
        programs=programs,
        profile=profile,
        engines=engines,
    )
    return (task(seed=seed) for seed in (SEEDS if experiment in _PAIRED else SEEDS[:3]))


EXPERIMENTS: Mapping[str, Callable[[], Tasks]] = {
    "latency": _latency,
    "placement": _placement,
    "scale-out": _scale_out,
    "makespan": _makespan,
    "optimum": _optimum,
    "fairness": _fairness,
}
"""What is asked of the simulator, by the name that points carry. ``overhead`` is measured, not simulated."""


def timelines() -> tuple[Task, Task]:
    """The same short load under FCFS and under ATLAS, for a Gantt chart of each."""
    first = Task(experiment="timeline", system="vllm-opt", workload="mixed", rate=0.55, seed=1, programs=60)
    return first, Task(experiment="timeline", system="atlas", workload="mixed", rate=0.55, seed=1, programs=60)
