"""One call's way through the K queues of Algorithm 1.

A call enters the queue whose range holds its program's service (not the first one, as a multi-level feedback queue
would do), runs there for that queue's quantum, and is demoted one queue when the quantum is used up (lines on
demotion). A waiting call that starved is promoted to the first queue (anti-starvation, section 4.2).

:class:`Queued` is one call's place and accounts; the functions return the next one. What time alone will change is
known in advance (:func:`due_at`), so nobody has to look at every call at every step.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from typing import Any, Self

from autellix_core.errors import InvalidSetting
from autellix_core.priority import Policy

__all__ = [
    "NEVER",
    "Levels",
    "Queued",
    "demote",
    "due_at",
    "enter",
    "level_of",
    "measured",
    "preempt",
    "promote",
    "start",
]

NEVER = math.inf
"""The time of what will not happen."""


@dataclass(frozen=True, slots=True)
class Levels:
    """The K queues: their ranges over service, their quanta, and the promotion ratio.

    Level 0 is the paper's Q1. ``bounds_s[i]`` is ``Q(i+1).hi = Q(i+2).lo`` in seconds of service, ascending; the last
    queue is open. ``quanta_s`` has one entry a queue. ``beta`` is the ratio of waiting to service at which a call
    is promoted; ``None`` turns promotion off.

    Raises :class:`InvalidSetting` where the values cannot work.
    """

    bounds_s: tuple[float, ...]
    quanta_s: tuple[float, ...]
    beta: float | None = None

    def __post_init__(self) -> None:
        if any(not low < high for low, high in zip((0.0, *self.bounds_s), self.bounds_s, strict=False)):
            raise InvalidSetting(f"The levels' bounds must be positive and ascending, not {self.bounds_s}.")
        if len(self.quanta_s) != len(self.bounds_s) + 1:
            raise InvalidSetting(
                f"{len(self.bounds_s)} bounds make {len(self.bounds_s) + 1} levels, each with a quantum, "
                f"but {len(self.quanta_s)} quanta are given."
            )
        if any(not quantum > 0 for quantum in self.quanta_s):
            raise InvalidSetting(f"Every quantum must be longer than 0 s, not {self.quanta_s}.")
        if self.beta is not None and not self.beta > 0:
            raise InvalidSetting(f"Beta must be a ratio above 0, or absent to turn promotion off, not {self.beta}.")

    @classmethod
    def geometric(cls, count: int = 10, first_s: float = 0.25, ratio: float = 2.0, beta: float | None = None) -> Self:
        """``count`` levels whose ranges grow by ``ratio`` from ``first_s`` seconds.

        Each quantum is its range's width: a call that used up its quantum has then attained at least the service of
        the level it is demoted to. The last level has no end, and its quantum neither.
        """
        bounds = tuple(first_s * ratio**index for index in range(count - 1))
        widths = tuple(high - low for low, high in zip((0.0, *bounds), bounds, strict=False))
        return cls(bounds_s=bounds, quanta_s=(*widths, math.inf), beta=beta)

    @property
    def count(self) -> int:
        """K, the number of levels."""
        return len(self.quanta_s)

    def under(self, policy: Policy) -> "Levels":
        """The levels that a policy uses: first come first served is one level without a quantum."""
        return _ONE if policy is Policy.FCFS else self


_ONE = Levels(bounds_s=(), quanta_s=(math.inf,))


@dataclass(frozen=True, slots=True)
class Queued:
    """One call in an engine's queues. All times are seconds; stamps come from one monotonic clock."""

    id: str
    level: int
    quantum_left_s: float
    """What was left of the quantum at ``since``."""
    enqueued_at: float
    """Its place inside the level: first come, first served."""
    since: float
    """When the present interval of waiting or running began."""
    running: bool = False
    serial: int = 0
    """Order of entry, for calls enqueued at the same instant."""
    wait_s: float = 0.0
    service_s: float = 0.0
    """The whole call's closed intervals, for its report."""
    share_wait_s: float = 0.0
    share_service_s: float = 0.0
    """W_call and T_call: the closed intervals since the last promotion."""
    program_wait_s: float = 0.0
    program_service_s: float = 0.0
    """W_program and T_program when the call arrived."""
    preemptions: int = 0
    demotions: int = 0
    promotions: int = 0


def level_of(levels: Levels, service_s: float) -> int:
    """The level whose range ``[lo, hi)`` holds this much service (Algorithm 1, entry of a call)."""
    return bisect_right(levels.bounds_s, service_s)


def enter(
    levels: Levels,
    call: str,
    service_s: float,
    *,
    now: float,
    serial: int = 0,
    program_wait_s: float = 0.0,
    program_service_s: float = 0.0,
) -> Queued:
    """A new call at its program's level, at that level's tail, with that level's quantum."""
    level = level_of(levels, service_s)
    return Queued(
        id=call,
        level=level,
        quantum_left_s=levels.quanta_s[level],
        enqueued_at=now,
        since=now,
        serial=serial,
        program_wait_s=program_wait_s,
        program_service_s=program_service_s,
    )


def start(call: Queued, *, now: float) -> Queued:
    """The engine took the call into its batch."""
    return _closed(call, now, running=True)


def preempt(call: Queued, *, now: float) -> Queued:
    """The engine put the call back. It keeps its level, its place in it and what is left of its quantum."""
    return _closed(call, now, running=False, preemptions=call.preemptions + 1)


def demote(levels: Levels, call: Queued, *, now: float) -> Queued:
    """The quantum is used up: one level down, at its tail, with its quantum (Algorithm 1, demotion).

    On the last level the call goes to the tail of that level.
    """
    level = min(call.level + 1, levels.count - 1)
    return _closed(
        call,
        now,
        level=level,
        quantum_left_s=levels.quanta_s[level],
        enqueued_at=now,
        demotions=call.demotions + 1,
    )


def promote(levels: Levels, call: Queued, *, now: float) -> Queued:
    """The call starved: to the first level. Only its own share of W and T begins anew (section 4.2)."""
    return _closed(
        call,
        now,
        level=0,
        quantum_left_s=levels.quanta_s[0],
        enqueued_at=now,
        share_wait_s=0.0,
        share_service_s=0.0,
        promotions=call.promotions + 1,
    )


def due_at(levels: Levels, call: Queued) -> float:
    """When, if nothing else happens, the call must be demoted (running) or promoted (waiting); else :data:`NEVER`.

    A running call's quantum ends. A waiting call below the first level has starved once
    ``(W_program + W_call) / (T_program + T_call) >= beta``, and while it waits only ``W_call`` grows.
    """
    if call.running:
        return call.since + call.quantum_left_s
    if levels.beta is None or call.level == 0:
        return NEVER
    waited_s = call.program_wait_s + call.share_wait_s
    served_s = call.program_service_s + call.share_service_s
    return call.since + max(0.0, levels.beta * served_s - waited_s)


def measured(call: Queued, *, now: float) -> tuple[float, float]:
    """Seconds of (service, wait) of the whole call up to ``now``."""
    spent_s = max(0.0, now - call.since)
    return (call.service_s + spent_s, call.wait_s) if call.running else (call.service_s, call.wait_s + spent_s)


def _closed(call: Queued, now: float, **changes: Any) -> Queued:
    """The present interval ends now, and these changes begin the next one."""
    spent_s = max(0.0, now - call.since)
    if call.running:
        closed: dict[str, Any] = {
            "service_s": call.service_s + spent_s,
            "share_service_s": call.share_service_s + spent_s,
            "quantum_left_s": max(0.0, call.quantum_left_s - spent_s),
        }
    else:
        closed = {"wait_s": call.wait_s + spent_s, "share_wait_s": call.share_wait_s + spent_s}
    return replace(call, since=now, **{**closed, **changes})
