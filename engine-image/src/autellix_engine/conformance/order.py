"""The order over whole programs: the paper's Figure 2, and first come first served as the engine's own order."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise

from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_engine.conformance.calls import Call, new_id
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.scenes import full_batch
from autellix_engine.conformance.verdicts import Failed, Skipped, expect

__all__ = ["fcfs_leaves_order_alone", "figure_2"]

_LONG, _SHORT = (3, 3, 3), (1, 2)
"""Units of each call of a long and of a short program. One unit of service is a third of a level."""
_FCFS, _AWARE = 18, 12
"""Units that all calls wait in a batch of two; it grows with the batch, as programs do here."""
_BETWEEN = (_FCFS + _AWARE) / 2
_LONGEST_QUANTUM_S = 1.0
_FEWEST_TOKENS = 4
_IN_TURN = 3
"""Calls that wait for the one place of which they are to come in turn."""
_TRIES = 3
"""A machine that stalls for a moment spoils one run of the figure; a wrong order spoils every run."""


@dataclass
class _Run:
    calls: dict[tuple[int, int], Call] = field(default_factory=dict)
    """By program and place in it; the first half of the programs is long."""

    @property
    def demoted(self) -> bool:
        return any(call.reported.demotions for call in self.calls.values())

    def waited(self, slots: int) -> float:
        """Units that the calls waited, for a batch of two. A unit is what this very run served for one."""
        units = slots * (sum(_LONG) + sum(_SHORT))
        unit_s = sum(call.reported.service_s for call in self.calls.values()) / units
        return sum(call.reported.wait_s for call in self.calls.values()) / unit_s * 2 / slots


async def figure_2(engine: Engine) -> str:
    """Long programs A, B and short ones C, D: 18 units of waiting under FCFS and MLFQ, 12 by program."""
    if engine.slots < 2:
        raise Skipped("the figure needs a batch of two")
    if engine.levels.count < 2:
        raise Skipped("the engine has one level, so no call is better than another")
    stage = _stage(engine.levels)
    unit = await _unit(engine, stage)
    for tries_left in reversed(range(_TRIES)):
        try:
            return await _compared(engine, stage, unit)
        except Failed:
            if not tries_left:
                raise
    raise AssertionError


def _stage(levels: Levels) -> int:
    """The level that stands for the figure's first queue: the longer its quantum, the less a call's way weighs."""
    fitting = [level for level in range(levels.count - 1) if levels.quanta_s[level] <= _LONGEST_QUANTUM_S]
    return max(fitting, key=lambda level: levels.quanta_s[level], default=0)


async def _unit(engine: Engine, stage: int) -> int:
    """Tokens of a unit: a call of three takes most of a quantum of that level, but not all of it."""
    aim_s = 0.6 * min(engine.levels.quanta_s[stage], _LONGEST_QUANTUM_S)
    unit = engine.tokens(aim_s / _LONG[0])
    for _ in range(_TRIES):
        run = await _run(engine, Policy.FCFS, stage, max(2, unit))
        took_s = max(call.ended_at - call.first_at for (_, place), call in run.calls.items() if not place)
        if 0.75 * aim_s <= took_s <= 1.25 * aim_s:
            break
        unit = min(round(unit * aim_s / took_s), engine.longest // 4)
    if unit < _FEWEST_TOKENS:
        raise Skipped(f"the levels' quanta are too short for calls of a dozen tokens: {list(engine.levels.quanta_s)} s")
    return unit


async def _compared(engine: Engine, stage: int, unit: int) -> str:
    quanta = engine.levels.quanta_s
    units = {Policy.FCFS: unit, Policy.MLFQ: round(unit * min(1.0, quanta[0] / quanta[stage])), Policy.ATLAS: unit}
    if units[Policy.MLFQ] * engine.token_s < engine.overhead_s * engine.slots:
        del units[
            Policy.MLFQ
        ]  # it knows the first level only, whose quantum is short beside a call's way to the engine
    waited: dict[Policy, float] = {}
    for policy, tokens in units.items():
        try:
            run = await _without_demotion(engine, policy, stage, tokens)
        except Skipped:
            if policy is Policy.MLFQ:
                continue  # the same reason
            raise
        waited[policy] = run.waited(engine.slots)
        if policy is Policy.ATLAS:
            _short_ones_first(run, engine.slots)
        await engine.settled()
    seen = ", ".join(f"{policy.value} {units:.1f}" for policy, units in waited.items())
    expect(
        waited.pop(Policy.ATLAS) < _BETWEEN < min(waited.values()),
        f"Figure 2's programs must wait {_FCFS} units under fcfs and mlfq and {_AWARE} under atlas, in a batch of two; "
        f"they waited {seen}.",
    )
    return f"units of waiting: {seen}; the paper has {_FCFS} under fcfs and mlfq, {_AWARE} by program"


async def _without_demotion(engine: Engine, policy: Policy, stage: int, unit: int) -> _Run:
    """Run the figure so that no call uses up a quantum, with shorter calls if need be; demotion is another check."""
    while unit >= _FEWEST_TOKENS:
        run = await _run(engine, policy, stage, unit)
        if not run.demoted:
            return run
        unit = unit * 2 // 3
    raise Skipped(f"every call of a dozen tokens uses up a quantum: they are {list(engine.levels.quanta_s)} s")


async def _run(engine: Engine, policy: Policy, stage: int, unit: int) -> _Run:
    run = _Run()
    names = [new_id() for _ in range(2 * engine.slots)]
    low_s, high_s = (0.0, *engine.levels.bounds_s)[stage : stage + 2]

    def enter(number: int, place: int) -> Call:
        lengths = _lengths(number, engine.slots)
        had = sum(lengths[:place])
        within = low_s + (high_s - low_s) * had / _LONG[0]
        service_s = (within if had < _LONG[0] else max(within, high_s)) if policy is Policy.ATLAS else 0.0
        call = engine.call(lengths[place] * unit, service_s, policy=policy, program=names[number])
        run.calls[number, place] = call
        return call

    async def serve(number: int, first: Call) -> None:
        await engine.caller.stream(first)
        for place in range(1, len(_lengths(number, engine.slots))):
            await engine.caller.stream(enter(number, place))

    async with asyncio.TaskGroup() as group:
        firsts = [enter(number, 0) for number in range(engine.slots)]
        for number, first in enumerate(firsts):
            group.create_task(serve(number, first))
        await asyncio.gather(*(first.begun.wait() for first in firsts))  # the long ones come first, just
        for number in range(engine.slots, 2 * engine.slots):
            group.create_task(serve(number, enter(number, 0)))
    return run


def _lengths(number: int, slots: int) -> tuple[int, ...]:
    return _LONG if number < slots else _SHORT


def _short_ones_first(run: _Run, slots: int) -> None:
    short = max(run.calls[number, 1].ended_at for number in range(slots, 2 * slots))
    long = min(run.calls[number, 1].ended_at for number in range(slots))
    expect(short < long, "Under atlas every short program of Figure 2 must end before a long one's second call does.")


async def fcfs_leaves_order_alone(engine: Engine) -> str:
    """Under FCFS the order of arrival decides, whatever the program had."""
    apart_s = max(0.02, 2 * engine.overhead_s)
    serve_s = 4 * apart_s
    # One place comes free, and whoever takes it keeps it for longer than calls can cross on their way.
    outlast_s = 2 * _IN_TURN * serve_s
    async with full_batch(engine, policy=Policy.FCFS, outlast_s=outlast_s) as holders:
        fresh = [engine.call(engine.tokens(serve_s), policy=Policy.FCFS) for _ in range(_IN_TURN)]
        async with asyncio.TaskGroup() as group:
            for call in fresh:
                group.create_task(engine.caller.stream(call))
                await asyncio.sleep(apart_s)
    calls = [*holders, *fresh]
    ended = min(holder.ended_at for holder in holders)
    expect(
        min(call.first_at for call in fresh) > ended - 2 * engine.token_s,
        "Under fcfs a call that arrived at a full batch was served before one of the batch had ended.",
    )
    for number, (earlier, later) in enumerate(pairwise(fresh), start=1):
        expect(
            earlier.first_at <= later.first_at + apart_s,
            f"Under fcfs waiting calls are served in the order of their arrival; number {number + 1} of {_IN_TURN} was "
            f"served before number {number}.",
        )
    moved = sum(call.reported.preemptions + call.reported.demotions + call.reported.promotions for call in calls)
    expect(moved == 0, f"Under fcfs no call is preempted, demoted or promoted; {moved} were.")
    expect(
        {call.reported.level for call in calls} == {0},
        f"Under fcfs there is one level, 0; calls report {sorted({call.reported.level for call in calls})}.",
    )
    return "the order of arrival held"
