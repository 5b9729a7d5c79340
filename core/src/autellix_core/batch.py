"""Who is in the batch: the last part of Algorithm 1.

"The batch is filled from Q1 downwards until the engine cannot fit the next call; running calls that are not in the
batch are preempted." Two readings are made precise here, both so that a preemption is never for nothing:

- inside one level a running call stays before a waiting one, so two equals cannot trade places at every step;
- a running call is displaced only if that, with others in worse levels, really makes room for the better call.

Where calls are of one size and no bound on preemptions is set, the outcome is exactly the paper's sentence.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
) -> Selection:
    """Choose the batch's changes.

    ``waiting`` comes best first and ``running`` worst first; both are read only as far as needed. ``needs`` gives the
    units that a waiting call takes when it runs, ``holds`` those that a running one gives back. At most
    ``most_preemptions`` calls are displaced in one decision.
    """
    admit: list[Queued] = []
    preempt: list[Queued] = []
    worst = iter(running)
    looked_at: list[Queued] = []  # worse calls that were considered for an earlier one and not yet displaced
    slots, units = room.slots, room.units
    for call in waiting:
        need = needs(call)
        chosen = 0
        would_slots, would_units = slots, units
        while would_slots < 1 or would_units < need:
            if len(preempt) + chosen >= most_preemptions:
                break
            if chosen == len(looked_at):
                further = next(worst, None)
                if further is None:
                    break
                looked_at.append(further)
            victim = looked_at[chosen]
            if victim.level <= call.level:
                break
            would_slots += 1
            would_units += holds(victim)
            chosen += 1
        if would_slots < 1 or would_units < need:
            break  # "until the engine cannot fit the next call"
        preempt += looked_at[:chosen]
        del looked_at[:chosen]
        slots, units = would_slots - 1, would_units - need
        admit.append(call)
    return Selection(admit=tuple(admit), preempt=tuple(preempt))
