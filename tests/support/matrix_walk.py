"""A random walk through an engine: arrivals, aborts, preemption storms, a full KV cache, resets of the cache."""

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from autellix_core.batch import Selection
from autellix_core.queues import Queues
from matrix_engine import Call, Engine, Lane
from matrix_runner import VOCABULARY

__all__ = ["SETTINGS", "Walked", "walk"]

SETTINGS: dict[str, Any] = {"bounds_s": [0.05, 0.1, 0.2, 0.4], "beta": 3.0, "most_preemptions": 3}

_CALLS = 60
_MOST_STEPS = 6000
_STORM, _RESET, _ABORT = 0.25, 0.01, 0.12
"""Chances: of a storm at a decision, of a reset of the cache at a step, of a client that leaves."""
_STEP_S = (0.0, 0.005, 0.01, 0.03)
_HEADS = tuple(tuple((head * 131 + at * 7) % VOCABULARY for at in range(13)) for head in range(3))
_ENDS = tuple(range(0, VOCABULARY, 40))


@dataclass
class Walked:
    """What the walk leaves to look at."""

    engine: Engine
    aborted: set[str] = field(default_factory=set)
    seen: Counter[str] = field(default_factory=Counter)
    raised: str | None = None
    """The exception that ended the walk, if one did."""


class _Contested(Queues):
    """Asks for a decision at every step, so that the storm may come at each."""

    contested = True


class _Storm:
    """Stands before the adapter's queues and, by chance, has it put back any calls that may leave."""

    def __init__(self, queues: Queues, dice: random.Random, seen: Counter[str]) -> None:
        self._queues, self._dice, self._seen = queues, dice, seen
        self._calm = queues.select

    def select(self, *args: Any, **kwargs: Any) -> Selection:
        if self._dice.random() >= _STORM:
            return self._calm(*args, **kwargs)
        may_leave = kwargs["may_leave"]
        leaving = tuple(call for call in self._queues.running if may_leave(call) and self._dice.random() < 0.5)
        self._seen["storm"] += len(leaving)
        return Selection(admit=(), preempt=leaving)


def walk(lane: Lane, seed: int, **how: Any) -> Walked:
    """Walk until every call ended. ``how`` goes to :class:`Engine`. An exception ends the walk and is kept."""
    dice = random.Random(f"{seed} {lane}")
    walked = Walked(Engine(lane, SETTINGS, **how))
    queues = walked.engine.scheduler._queues
    queues.__class__ = _Contested
    queues.select = _Storm(queues, dice, walked.seen).select
    try:
        _walk(walked, dice)
    except Exception as error:  # noqa: BLE001 # whatever it is, it is what the walk found
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_name}, line {place.tb_lineno}" if place is not None else "?"
        walked.raised = f"{type(error).__name__}: {error} (in {where})"
    for cause, count in walked.engine.scheduler.autellix_state()["counts"]["preemptions"].items():
        walked.seen[cause] += count
    return walked


def _walk(walked: Walked, dice: random.Random) -> None:
    engine = walked.engine
    coming = [_call(f"call {number}", dice) for number in range(_CALLS)]
    leaving = {call.name: dice.randrange(1, 60) for call in coming if dice.random() < _ABORT}
    while coming or engine.busy:
        walked.seen["steps"] += 1
        assert walked.seen["steps"] < _MOST_STEPS, "the calls do not come to an end"
        while coming and dice.random() < 0.3:
            engine.add(coming.pop())
        for name in [name for name in leaving if name in engine.scheduler.requests]:
            leaving[name] -= 1
            if leaving[name] <= 0:
                del leaving[name]
                walked.aborted.add(name)
                engine.abort(engine.calls[name])
        if dice.random() < _RESET:
            engine.scheduler.reset_prefix_cache(reset_running_requests=True)
        engine.step()
        engine.sleep(dice.choice(_STEP_S))


def _call(name: str, dice: random.Random) -> Call:
    tail = [dice.randrange(VOCABULARY) for _ in range(dice.randrange(1, 30))]
    head = dice.choice(_HEADS) if dice.random() < 0.5 else ()
    return Call(
        name=name,
        prompt=(*head, *tail),
        most_tokens=dice.randrange(1, 40),
        service_s=dice.choice((0.0, 0.04, 0.08, 0.15, 0.3, 1.0)),
        ends=_ENDS,
    )
