"""Points that nobody measured: made up from simple formulas, so that the report has something of every kind to show.

``PYTHONPATH=tests/support python -m bench_points FOLDER`` writes the report of them, to look at.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from autellix_bench.points import Point
from autellix_bench.timeline import Stretch

CAPACITIES = {
    "vllm": 0.7,
    "vllm-opt": 1.0,
    "mlfq": 1.15,
    "las-gateway": 1.4,
    "session-boost": 1.1,
    "thunderagent": 1.25,
    "continuum": 1.3,
    "plas": 1.75,
    "atlas": 1.8,
    "srpt": 2.3,
}
"""The rate in programs a second at which each made-up system's latency goes to infinity, on an engine."""

LIVE = {
    "direct-round-robin": 1.1,
    "vllm-router-round-robin": 1.12,
    "vllm-router-cache-aware": 1.0,
    "vllm-router-programs": 0.95,
    "sglang-router-cache-aware": 1.05,
    "litellm": 1.3,
    "autellix-stock-engines": 0.5,
    "autellix": 0.25,
}


def a_point(
    *,
    experiment: str = "latency",
    system: str = "atlas",
    workload: str = "mixed",
    profile: str = "made-up",
    engines: int = 1,
    rate: float = 1.0,
    seed: int = 0,
    mean_s: float = 0.1,
    programs: int = 1000,
    failed: int = 0,
    makespan_s: float = 1000.0,
    params: Mapping[str, float | str] | None = None,
) -> Point:
    """A point with these values, its tails in proportion to its mean."""
    return Point(
        experiment=experiment,
        system=system,
        workload=workload,
        profile=profile,
        engines=engines,
        rate=rate,
        seed=seed,
        programs=programs,
        failed=failed,
        output_tokens=1000 * programs,
        makespan_s=makespan_s,
        mean_s=mean_s,
        p50_s=0.7 * mean_s,
        p95_s=2.5 * mean_s,
        p99_s=4.0 * mean_s,
        worst_s=6.0 * mean_s,
        params=params or {},
    )


def curve(capacity: float, rate: float, *, unloaded_s: float = 0.03) -> float:
    """A latency that grows without bound towards a capacity, and beyond it by as much as the queue grows."""
    room = 1 - rate / capacity
    return unloaded_s / room if room > 0.02 else unloaded_s * 50 * (1 + 3 * (rate / capacity - 0.98))


def every_experiment(
    seeds: int = 5,
    *,
    workloads: Sequence[str] = ("sharegpt", "bfcl", "lats", "mixed"),
    systems: Container[str] = CAPACITIES,
) -> list[Point]:
    """Something of everything that a report can show."""
    chance = random.Random(7)
    capacities = {system: capacity for system, capacity in CAPACITIES.items() if system in systems}
    return [
        *_latency(chance, seeds, workloads, capacities),
        *_engines(chance, seeds),
        *_batches(chance, seeds),
        *_costs(),
        *_live(chance),
    ]


def a_run(calls: int = 900) -> list[Stretch]:
    """Two engines of eight places, whose calls come back a level lower."""
    chance = random.Random(3)
    free = {(engine, place): 0.0 for engine in ("engine-0", "engine-1") for place in range(8)}
    stretches = []
    for number in range(calls):
        engine, place = min(free, key=lambda key: free[key])
        began_s = free[engine, place] + chance.uniform(0.0, 0.05)
        level = min(6, int(chance.expovariate(0.7)))
        free[engine, place] = ended_s = began_s + 0.2 * 1.6**level * chance.uniform(0.3, 1.0)
        program = f"program-{int(chance.paretovariate(1.1)) % 40}"
        stretches.append(Stretch(program, "mixed", f"call-{number}", engine, level, began_s, ended_s))
    return stretches


def _latency(
    chance: random.Random, seeds: int, workloads: Sequence[str], capacities: Mapping[str, float]
) -> Iterator[Point]:
    for place, workload in enumerate(workloads):
        for experiment in ("latency", *(("optimum",) if workload == "mixed" else ())):
            for system, capacity in capacities.items():
                for seed in range(seeds):
                    scale = (1 + 0.4 * place) * chance.uniform(0.96, 1.04)
                    for step in range(1, 9):
                        rate = 0.25 * step * (1 + 0.4 * place)
                        yield a_point(
                            experiment=experiment,
                            system=system,
                            workload=workload,
                            rate=rate,
                            seed=seed,
                            mean_s=curve(capacity * scale, rate) * chance.uniform(0.98, 1.02),
                            failed=3 if system == "mlfq" and step == 8 else 0,
                        )


def _engines(chance: random.Random, seeds: int) -> Iterator[Point]:
    systems = {"atlas": 1.8, "atlas-least": 1.5, "atlas-round-robin": 1.4, "vllm-opt": 1.0}
    for experiment, counts in (("placement", (2, 4)), ("scale-out", (1, 2, 4, 8))):
        for engines in counts:
            for system, capacity in systems.items():
                for seed in range(seeds):
                    scale = engines * chance.uniform(0.96, 1.04)
                    for step in range(1, 8):
                        yield a_point(
                            experiment=experiment,
                            system=system,
                            engines=engines,
                            rate=0.3 * step * engines,
                            seed=seed,
                            mean_s=curve(capacity * scale, 0.3 * step * engines),
                        )


def _batches(chance: random.Random, seeds: int) -> Iterator[Point]:
    for system, speed in {"vllm-opt": 1.0, "mlfq": 0.95, "atlas": 1.25, "plas": 1.2}.items():
        for programs in (1000, 2000, 4000):
            for seed in range(seeds):
                makespan_s = programs / speed * chance.uniform(0.97, 1.03)
                yield a_point(
                    experiment="makespan",
                    system=system,
                    rate=0.0,
                    seed=seed,
                    programs=programs,
                    mean_s=makespan_s / 9000,
                    makespan_s=makespan_s,
                )


def _costs() -> Iterator[Point]:
    params: dict[str, float | str]
    for system, cost in {"vllm-opt": 1.0, "atlas": 3.0, "mlfq": 4.0}.items():
        for queued in (10, 100, 1000, 10000):
            for seed in range(3):
                decision_us = cost * (2 + queued**0.4) * (1 + 0.05 * seed)
                params = {"queued": queued, "decision_us": decision_us}
                yield a_point(experiment="overhead", system=system, seed=seed, params=params)
    for beta in (1.0, 2.0, 4.0, 8.0, "off"):
        for seed in range(3):
            shift = 0.5 / beta if isinstance(beta, float) else 0.0
            made = a_point(experiment="fairness", seed=seed, mean_s=0.1 * (1 + shift))
            params = {"beta": beta, "longest_wait_s": 60.0 - 80 * shift}
            yield replace(made, p99_s=0.4 - 0.3 * shift, worst_s=2.0 - 3.0 * shift, params=params)


def _live(chance: random.Random) -> Iterator[Point]:
    for system, mean_s in LIVE.items():
        for repetition in range(3):
            yield a_point(
                experiment="live",
                system=system,
                profile="live",
                engines=2,
                rate=2.5,
                seed=repetition,
                programs=200,
                failed=2 if system == "litellm" else 0,
                mean_s=mean_s * chance.uniform(0.9, 1.1),
                params={"schedule_slip": 0.01 * (1 + repetition)},
            )


if __name__ == "__main__":
    from autellix_bench import report

    report.write(
        every_experiment(),
        facts={"Data": "made up by a formula; nobody measured it", "Seeds": "0 to 4"},
        out=Path(sys.argv[1]),
        stretches=a_run(),
        reasons={"makespan.memory": "A made-up reason, as this made-up engine never runs out of memory."},
        title="Made-up points: how a report looks",
    )
