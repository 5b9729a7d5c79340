"""Scheduling time a step, by how many calls are queued: stock vLLM's two policies and the adapter.

All schedulers of a case are stepped in turn, so what disturbs the machine disturbs all of them alike. When a call
ends, a new one of random service arrives in its place: the queue keeps its length, and new calls displace others.
"""

import gc
import itertools
import math
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_benchmark.schedulers import BLOCK, Call, Clock, Variant, build, queue, step
from adapter_benchmark.tables import Table, at_percentile
from autellix_core.levels import Levels, level_of

__all__ = ["measure", "random_calls"]

_VARIANTS = (
    Variant("stock FCFS"),
    Variant("stock priority", policy="priority"),
    Variant("adapter, beta off", settings={}),
    Variant("adapter, beta 0.5", settings={"beta": 0.5}),
)
_ALL_LEVELS_S, _LAST_LEVEL_S = (0.05, 300.0), (100.0, 300.0)
_CASES = (
    *((16, queued, _ALL_LEVELS_S) for queued in (10, 100, 1000, 5000)),
    (256, 4000, _ALL_LEVELS_S),
    (16, 16, _LAST_LEVEL_S),
    (256, 4000, _LAST_LEVEL_S),
)
"""Running, queued, and the range of their programs' services. In the last level nobody has anything to displace or be
demoted to: what is left is the cost of looking."""
_PROMPT = 64
_LEVELS = Levels.geometric()
_WARM_UP = 40
_STEPS = 400


@dataclass(slots=True)
class _Lane:
    """One scheduler of a case and its times."""

    name: str
    scheduler: Any
    clock: Clock
    arrivals: Iterator[Call]
    scheduling_s: list[float] = field(default_factory=list)
    deciding_s: list[float] = field(default_factory=list)
    whole_s: list[float] = field(default_factory=list)
    preemptions: int = 0


def measure(seed: int, model: Path) -> Table:
    """Every case, each with all four schedulers."""
    rows: list[tuple[str, ...]] = []
    values: dict[str, Any] = {}
    for running, queued, services_s in _CASES:
        case = f"{running} + {queued:,}" + (", one level" if services_s is _LAST_LEVEL_S else "")
        lanes = _lanes(seed, model, running, queued, services_s)
        for number in range(_WARM_UP + _STEPS):
            if number == _WARM_UP:
                gc.collect()
                gc.freeze()  # as vLLM's engine does with what it started with
                for lane in lanes:
                    lane.scheduling_s, lane.deciding_s, lane.whole_s, lane.preemptions = [], [], [], 0
            for lane in lanes:
                _step(lane)
        for lane in lanes:
            times = (lane.scheduling_s, lane.deciding_s, lane.whole_s)
            cells = [_us(of, percent) for of in times for percent in (50, 99)]
            rows.append((case, lane.name, *cells, f"{lane.preemptions / _STEPS:.2f}"))
            values[f"{case}: {lane.name}"] = dict(zip(("schedule_s", "decision_s", "step_s"), times, strict=True))
        gc.unfreeze()
    return Table(
        title="Scheduling time a step",
        columns=(
            "running + queued",
            "scheduler",
            "schedule() us",
            "p99",
            "decision us",
            "p99",
            "whole step us",
            "p99",
            "preemptions a step",
        ),
        rows=tuple(rows),
        note=(
            f"vLLM's scheduler classes without a model, {_STEPS} steps each, in turn; medians and 99th percentiles in "
            "microseconds. schedule() contains the decision; the whole step adds what is noted of new and ended calls "
            "and their reports. Programs' services spread over all levels, so that calls are demoted and displace one "
            "another at most steps; in the cases of one level nobody has anybody to displace."
        ),
        values=values,
    )


def random_calls(
    seed: int, *, output: tuple[int, int], services_s: tuple[float, float] = _ALL_LEVELS_S
) -> Iterator[Call]:
    """Endless calls of programs whose services spread evenly over the orders of magnitude of that range."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    low, high = (math.log(service_s) for service_s in services_s)
    for index in itertools.count():
        service_s = math.exp(chance.uniform(low, high))
        yield Call(
            id=f"{seed}-{index}",
            prompt=_PROMPT,
            output=chance.randint(*output),
            level=level_of(_LEVELS, service_s),
            service_s=service_s,
            wait_s=service_s * chance.uniform(0.0, 0.4),
        )


def _lanes(seed: int, model: Path, running: int, queued: int, services_s: tuple[float, float]) -> list[_Lane]:
    lanes = []
    for variant in _VARIANTS:
        clock = Clock()
        # Room for what is preempted too, so that batches are limited by --max-num-seqs alone.
        scheduler = build(variant, model, batch=running, blocks=running * 100 + 20_000 // BLOCK, clock=clock)
        lane = _Lane(variant.name, scheduler, clock, random_calls(seed, output=(16, 256), services_s=services_s))
        for call in itertools.islice(lane.arrivals, running + queued):
            queue(scheduler, call, clock)
        _watch(lane)
        lanes.append(lane)
    return lanes


def _watch(lane: _Lane) -> None:
    """Time the scheduler's own methods, in place."""
    scheduler = lane.scheduler
    schedule, preempt = scheduler.schedule, scheduler._preempt_request  # noqa: SLF001 - nobody else knows

    def scheduling() -> Any:
        with _timed(lane.scheduling_s):
            return schedule()

    def preempting(*args: Any, **kwargs: Any) -> Any:
        lane.preemptions += 1
        return preempt(*args, **kwargs)

    scheduler.schedule, scheduler._preempt_request = scheduling, preempting  # noqa: SLF001
    if lane.name.startswith("adapter"):
        decide = scheduler._decide  # noqa: SLF001

        def deciding(*args: Any) -> Any:
            with _timed(lane.deciding_s):
                return decide(*args)

        scheduler._decide = deciding  # noqa: SLF001


def _step(lane: _Lane) -> None:
    lane.clock.advance()
    with _timed(lane.whole_s):
        ended = step(lane.scheduler)
    for call in itertools.islice(lane.arrivals, len(ended)):
        queue(lane.scheduler, call, lane.clock)


@contextmanager
def _timed(into: list[float]) -> Iterator[None]:
    begun = time.perf_counter()
    try:
        yield
    finally:
        into.append(time.perf_counter() - begun)


def _us(seconds: list[float], percent: int) -> str:
    return f"{at_percentile(seconds, percent) * 1e6:,.0f}" if seconds else "-"
