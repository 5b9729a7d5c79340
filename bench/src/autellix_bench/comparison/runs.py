"""The whole comparison: engines, systems and loads in the order of the plan, and a point for every run."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from autellix_bench.comparison import loads
from autellix_bench.comparison.plans import Run, phases
from autellix_bench.comparison.systems import SYSTEMS, System
from autellix_bench.peers import (
    EngineKind,
    EngineShape,
    Fronted,
    NotReady,
    PartMissing,
    engines_serving,
    fronted,
)
from autellix_bench.points import Point, summed_up
from autellix_bench.programs import Program
from autellix_bench.records import CallRecord, ProgramRecord

__all__ = ["Drive", "Drives", "Opens", "Result", "compare"]

EXPERIMENT = "live"


class Drive(Protocol):
    """What the live driver says of a finished run."""

    @property
    def programs(self) -> Sequence[ProgramRecord]:
        """Every program that was sent."""

    @property
    def params(self) -> Mapping[str, float | str]:
        """What the driver itself took (``slip_share``, ``driver_cpu_share``) and, by that, whether the run is
        ``valid``: yes or no."""


class Drives(Protocol):
    """The live driver: sends all programs open loop, tells the system of them, and waits for their ends."""

    def __call__(
        self, programs: Iterable[Program], to: Fronted, *, salt: str, record: Callable[[CallRecord], None]
    ) -> Awaitable[Drive]:
        """``salt`` is in all prompts; ``record`` takes each call as it ends."""


Opens = Callable[
    [Mapping[EngineKind, int], EngineShape], AbstractAsyncContextManager[Mapping[EngineKind, tuple[str, ...]]]
]
"""So many engines of each kind, for as long as a block lasts."""


@dataclass(frozen=True, slots=True)
class Result:
    """A finished run: its point, or why there is none."""

    run: Run
    point: Point | None
    why: str | None = None


async def compare(
    programs: Callable[[int], Iterable[Program]],
    drives: Drives,
    *,
    workload: str,
    rate: float,
    systems: Sequence[System] = SYSTEMS,
    repetitions: int = 3,
    engines: int = 1,
    shape: EngineShape | None = None,
    opens: Opens = engines_serving,
    begins: Callable[[Run], None] = lambda _: None,
    record: Callable[[Run, CallRecord], None] = lambda _, __: None,
) -> AsyncGenerator[Result, None]:
    """Run the comparison; results come as runs end, so that what is there is not lost with what fails later.

    ``programs`` gives a repetition's programs, the same ones whenever it is asked: it is, for every system. ``rate`` is
    what it was asked to make, in programs a second. A system that is not installed, does not come up or answers
    nothing has a result that says so, and the others go on.

    Leave it early only by its ``aclose``, which ends the engines.

    :raises PartMissing, NotReady: if the engines cannot be had, or are not idle again after a run.
    """
    shape = EngineShape() if shape is None else shape

    async def measured(run: Run, behind: tuple[str, ...]) -> Point:
        async with fronted(run.system.peer, behind, shape) as front:
            before = await loads.idle(behind)
            salt = secrets.token_hex(6)
            drive = await drives(programs(run.repetition), front, salt=salt, record=partial(record, run))
        cached = loads.cached_share(before, await loads.idle(behind))
        return _point(run, drive, cached, workload=workload, rate=rate, engines=engines)

    for phase in phases(systems, repetitions, engines=engines):
        async with opens(dict.fromkeys(phase.kinds, engines), shape) as urls:
            for run in phase.runs:
                begins(run)
                behind = urls[run.system.engines]
                await loads.idle(behind)
                try:
                    result = Result(run, await measured(run, behind))
                except (PartMissing, NotReady, ValueError) as error:
                    result = Result(run, None, str(error))
                yield result


def _point(run: Run, drive: Drive, cached: float | None, *, workload: str, rate: float, engines: int) -> Point:
    return summed_up(
        drive.programs,
        experiment=EXPERIMENT,
        system=run.system.name,
        workload=workload,
        profile=EXPERIMENT,
        engines=engines,
        rate=rate,
        seed=run.repetition,
        params={
            **drive.params,
            **({} if cached is None else {"cached_share": cached}),
            "engine": run.system.engines.value,
        },
    )
