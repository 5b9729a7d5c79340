"""Who is in the batch: the last part of Algorithm 1.

"The batch is filled from Q1 downwards until the engine cannot fit the next call; running calls that are not in the
batch are preempted." Three readings are made precise here, so that a preemption is never for nothing and costs little:

- inside one level a running call stays before a waiting one, so two equals cannot trade places at every step: without
  a change of level (an arrival, a used-up quantum, a promotion) a second decision displaces nobody;
- a running call is displaced only if that, with others in worse levels, really makes room for the better call;
- among the running calls of the worst level those leave first that lose least, where the engine says what they lose.

Where calls are of one size and no bound on preemptions is set, the levels in the batch are exactly the paper's.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from autellix_core.levels import Queued

__all__ = ["Room", "Selection", "select"]


@dataclass(frozen=True, slots=True)
class Room:
    """What the engine has free: places in the batch, and units of KV cache (blocks)."""

    slots: int
    units: int


@dataclass(frozen=True, slots=True)
class Selection:
    """The calls to take into the batch, and the running ones that leave it for them."""

    admit: tuple[Queued, ...]
    preempt: tuple[Queued, ...]


def select(
    waiting: Iterable[Queued],
    running: Iterable[Queued],
    room: Room,
    *,
    needs: Callable[[Queued], int],
    holds: Callable[[Queued], int],
    most_preemptions: int,
    loses: Callable[[Queued], float] | None = None,
) -> Selection:
    """Choose the batch's changes.

    ``waiting`` comes best first and ``running`` worst first; both are read only as far as needed. ``needs`` gives the
    units that a waiting call takes when it runs, ``holds`` those that a running one gives back. ``loses``
    is what displacing a running call costs, such as the tokens to compute again; without it the last comer of the
    worst level leaves first. At most ``most_preemptions`` calls are displaced in one decision.
    """
    admit: list[Queued] = []
    preempt: list[Queued] = []
    victims = _Victims(running, loses)
    slots, units = room.slots, room.units
    for call in waiting:
        need = needs(call)
        leaving: list[Queued] = []
        while slots < 1 or units < need:
            if len(preempt) + len(leaving) >= most_preemptions:
                break
            victim = victims.take(worse_than=call.level)
            if victim is None:
                break
            leaving.append(victim)
            slots += 1
            units += holds(victim)
        if slots < 1 or units < need:
            break  # "until the engine cannot fit the next call"; nobody leaves for it
        preempt += leaving
        slots, units = slots - 1, units - need
        admit.append(call)
    return Selection(admit=tuple(admit), preempt=tuple(preempt))


class _Victims:
    """Running calls in the order in which they leave: worst level first, inside a level by what they lose.

    A level is put in order only once somebody of it must leave: most decisions displace nobody.
    """

    def __init__(self, running: Iterable[Queued], loses: Callable[[Queued], float] | None) -> None:
        self._levels = groupby(running, key=lambda call: call.level)
        self._loses = loses
        self._next = next(self._levels, None)
        self._leaving: Iterator[Queued] | None = None

    def take(self, *, worse_than: int) -> Queued | None:
        """The next one of a worse level, or None if there is no more."""
        while self._next is not None and self._next[0] > worse_than:
            if self._leaving is None:
                # Stable, so that among equals the last comer, who stands first, leaves first.
                calls = self._next[1]
                self._leaving = iter(calls if self._loses is None else sorted(calls, key=self._loses))
            victim = next(self._leaving, None)
            if victim is not None:
                return victim
            self._next, self._leaving = next(self._levels, None), None
        return None
