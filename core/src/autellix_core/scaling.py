"""How many engines a pool needs, and which of them to give up: from a snapshot of its programs, never from a clock.

The paper has a fixed set of engines; the rule is this project's own. What an agent does between two calls is known to
the process table, so the pool is sized for the programs that will come back too, not only for the calls that are there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

from autellix_core.errors import InvalidSetting
from autellix_core.program import EngineId

__all__ = [
    "Demand",
    "Desired",
    "EngineDemand",
    "History",
    "Look",
    "ScalingPolicy",
    "ScalingReason",
    "desired",
    "explain",
    "give_up",
]

_SLICES = 12
"""In which a window is remembered: this many looks at most, however often one looks."""
_BETWEEN_LOOKS_S = 10.0
"""So long after the last look one still knows what was in between, however short a window is."""

_ROUNDING = 1 + 1e-9


@dataclass(frozen=True, slots=True)
class EngineDemand:
    """One engine of the pool."""

    id: EngineId
    ready: bool = True
    draining: bool = False
    calls: int = 0
    """In it, running and queued."""
    slots: int = 0
    """Calls that its batch holds; 0: not known."""
    wait_s: float = 0.0
    """Mean queue time of the calls that ended there lately."""
    programs: int = 0
    """Programs that were active lately and whose home it is."""
    cached_tokens: int = 0
    """Of those programs: at most what other engines compute again if it goes."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A pool at one instant."""

    engines: tuple[EngineDemand, ...] = ()
    held: int = 0
    """Calls that wait at gateways since no engine takes them."""
    active: int = 0
    """Programs with a call under way."""
    returning: int = 0
    """Programs in a tool call that will come back."""

    @property
    def calls(self) -> int:
        """In all engines, those that drain included, and held."""
        return self.held + sum(engine.calls for engine in self.engines)


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """Out at once, in slowly: an engine too many costs money for a window, one too few every program its time.

    An engine is to hold ``target_calls``, or as many as its batch has places for where that is fewer, and a program
    that will return counts as ``returning_share`` of a call. Beyond ``target_wait_s`` of mean queue time more engines
    are asked for, whatever the calls say. Fewer are asked for only when more were not needed for ``stabilization_s``.
    None are kept, where ``min_engines`` is 0, after ``idle_s`` without any program.

    Trade-offs: where waits have another cause than the number of calls (long prompts, a model's KV blocks), the rule
    learns how many calls are too many for an engine, and only a heavier load without waits, or a look without any
    call, makes it forget.

    Raises :class:`InvalidSetting` where the values cannot work.
    """

    min_engines: int = 1
    max_engines: int = 4
    target_calls: int = 8
    target_wait_s: float = 1.0
    returning_share: float = 0.5
    stabilization_s: float = 120.0
    idle_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_engines <= self.max_engines or self.max_engines < 1:
            raise InvalidSetting(
                "A pool needs 0 <= min_engines <= max_engines and max_engines >= 1, "
                f"not {self.min_engines} and {self.max_engines}."
            )
        if self.target_calls < 1 or not self.target_wait_s > 0:
            raise InvalidSetting(
                "Scaling needs target_calls >= 1 and target_wait_s above 0 s, "
                f"not {self.target_calls} and {self.target_wait_s}."
            )
        if not 0 <= self.returning_share <= 1:
            raise InvalidSetting(f"returning_share must be from 0 to 1 calls a program, not {self.returning_share}.")
        if not (self.stabilization_s >= 0 and self.idle_s >= 0):
            raise InvalidSetting(
                f"stabilization_s and idle_s must be at least 0 s, not {self.stabilization_s} and {self.idle_s}."
            )


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen in a slice of the window, at its height."""

    from_s: float
    to_s: float
    engines: int
    """Recommended."""
    load: float
    """Calls for each engine that was ready."""


@dataclass(frozen=True, slots=True)
class History:
    """What the rule remembers between two looks. An empty one is safe: nothing is given up before a whole window."""

    looks: tuple[Look, ...] = ()
    """Of the window, oldest first; at most one a slice."""
    since_s: float = math.inf
    """When the looks without a gap began."""
    idle_since_s: float = math.inf
    """When the last program was gone."""
    crowded: float = math.inf
    """Calls an engine at which they waited too long."""


class ScalingReason(StrEnum):
    """Why a pool is to have that many engines."""

    CALLS = "calls"
    """More, for the calls that are there and the programs that will return."""
    WAIT = "wait"
    """More, since calls wait longer than they should."""
    FROM_ZERO = "from-zero"
    """There is no engine, and a program needs one."""
    FEWER = "fewer"
    """Fewer: for a whole window no more were needed."""
    IDLE = "idle"
    """None: there was no program for so long."""
    BOUNDS = "bounds"
    """The pool had fewer than its least, or more than its most."""
    LIMIT = "limit"
    """As many as now, the most there may be; more are needed."""
    STABILIZING = "stabilizing"
    """As many as now; fewer would do, but not yet for long enough."""
    ENOUGH = "enough"
    """As many as now, and as needed."""


@dataclass(frozen=True, slots=True)
class Desired:
    """How many engines a pool is to have, those that drain not counted, and what was seen."""

    engines: int
    reason: ScalingReason
    current: int = 0
    needed: int = 0
    """Whatever the pool's bounds."""
    calls: int = 0
    held: int = 0
    """Of the calls."""
    returning: int = 0
    ready: int = 0
    """Engines that take calls now."""
    wait_s: float = 0.0
    """Their mean queue time."""


def desired(
    policy: ScalingPolicy, demand: Demand, *, current: int, history: History, now_s: float
) -> tuple[Desired, History]:
    """How many engines the pool is to have, and what to remember until the next look.

    ``current``: the engines that it was told to have, those that still start included and those that drain not. So an
    engine that starts is capacity already, and while pods start nothing is added for the same calls again. ``now_s``
    may be of any clock; one that went back begins a new window.
    """
    taking = [engine for engine in demand.engines if engine.ready and not engine.draining]
    waits_s = math.fsum(engine.wait_s for engine in taking)
    wait_s = waits_s / len(taking) if taking else 0.0
    load = demand.calls + policy.returning_share * demand.returning
    looks = tuple(look for look in history.looks if now_s - policy.stabilization_s < look.to_s <= now_s)
    since_s = history.since_s if _seen_lately(history, now_s, policy.stabilization_s) else now_s
    here = load / len(taking) if taking else 0.0
    crowded = _crowded(policy, history.crowded, here, max([here, *(look.load for look in looks)]), wait_s, load)

    by_calls = _for_calls(policy, demand, load, crowded)
    # The sum, not the mean: engines that have just become ready have no waits yet, so they do not ask for still more.
    asked = waits_s / policy.target_wait_s if wait_s > policy.target_wait_s else 0
    by_wait = math.ceil(min(asked, 2 * len(taking) + 1, load))
    needed = max(by_calls, by_wait)
    within = max(policy.min_engines, min(needed, policy.max_engines))

    looks = _remembered(looks, Look(now_s, now_s, within, here), policy.stabilization_s / _SLICES)
    whole = now_s - since_s >= policy.stabilization_s
    engines = max(within, min(current, max(look.engines for look in looks) if whole else policy.max_engines))
    idle_since_s = _idle_since_s(policy, demand, history, now_s)
    if not engines and current and now_s - idle_since_s < policy.idle_s:
        engines = 1
    seen = Desired(
        engines,
        _reason(policy, current, engines, needed, waits=by_wait >= by_calls),
        current,
        needed,
        demand.calls,
        demand.held,
        demand.returning,
        len(taking),
        wait_s,
    )
    return seen, History(looks, since_s, idle_since_s, crowded)


def _for_calls(policy: ScalingPolicy, demand: Demand, load: float, crowded: float) -> int:
    """Engines for so many calls, or for one that is about to be known."""
    each = min([policy.target_calls, *(engine.slots for engine in demand.engines if engine.slots)])
    engines = math.ceil(load / each)
    if load and crowded < math.inf:
        fewest = math.floor(load / crowded * _ROUNDING) + 1  # so that each has fewer than those that waited
        engines = max(engines, min(fewest, math.ceil(load)))
    return max(engines, 1) if demand.active else engines


def _crowded(policy: ScalingPolicy, known: float, here: float, highest: float, wait_s: float, load: float) -> float:
    """Calls an engine that are too many, as far as is known after this look.

    Waits are those of calls that ended a while ago, so it was the window's highest load that made them.
    """
    if wait_s > policy.target_wait_s:
        return min(known, max(1.0, highest))
    return math.inf if here >= known or not load else known


def _remembered(looks: tuple[Look, ...], look: Look, slice_s: float) -> tuple[Look, ...]:
    if looks and look.to_s - looks[-1].from_s < slice_s:
        last = looks[-1]
        merged = Look(last.from_s, look.to_s, max(last.engines, look.engines), max(last.load, look.load))
        return (*looks[:-1], merged)
    return (*looks, look)


def _idle_since_s(policy: ScalingPolicy, demand: Demand, history: History, now_s: float) -> float:
    if demand.calls or demand.active or demand.returning:
        return math.inf
    return min(history.idle_since_s, now_s) if _seen_lately(history, now_s, policy.idle_s / 2) else now_s


def _seen_lately(history: History, now_s: float, within_s: float) -> bool:
    """Whether the last look was not long ago: what nobody saw may have been anything. A short bound is stretched to
    what whoever looks may take between two looks."""
    return bool(history.looks) and 0 <= now_s - history.looks[-1].to_s <= max(within_s, _BETWEEN_LOOKS_S)


def _reason(policy: ScalingPolicy, current: int, engines: int, needed: int, *, waits: bool) -> ScalingReason:
    if engines > current:
        if needed <= current:
            return ScalingReason.BOUNDS
        if not current:
            return ScalingReason.FROM_ZERO
        return ScalingReason.WAIT if waits else ScalingReason.CALLS
    if engines < current:
        if not engines:
            return ScalingReason.IDLE
        return ScalingReason.BOUNDS if engines == policy.max_engines else ScalingReason.FEWER
    if needed > engines:
        return ScalingReason.LIMIT
    return ScalingReason.STABILIZING if max(needed, policy.min_engines) < engines else ScalingReason.ENOUGH


def give_up(demand: Demand, count: int) -> tuple[EngineId, ...]:
    """The ``count`` engines that are to drain, those that drain already among them, the least loss first.

    A drain that was begun is finished; then come engines that take no calls, then those whose loss costs the least
    locality: the fewest cached tokens, programs and calls. An engine that drains and is not named is to be taken back:
    so where demand returns, the engine with the most to lose is there again before a new one is started.
    """

    def loss(engine: EngineDemand) -> tuple[bool, bool, int, int, int, EngineId]:
        return not engine.draining, engine.ready, engine.cached_tokens, engine.programs, engine.calls, engine.id

    return tuple(engine.id for engine in sorted(demand.engines, key=loss)[: max(0, count)])


def explain(seen: Desired) -> str:
    """The decision as a sentence for an event or a condition."""
    engines, needed = _engines(seen.engines), _engines(seen.needed)
    said = {
        ScalingReason.CALLS: f"{needed} needed for {_calls(seen)}, not {seen.current}",
        ScalingReason.WAIT: f"mean wait {seen.wait_s:.1f} s for {_calls(seen)} on {_engines(seen.ready)}",
        ScalingReason.FROM_ZERO: f"no engine yet for {_calls(seen)}",
        ScalingReason.FEWER: f"no more than {engines} needed lately, now for {_calls(seen)}",
        ScalingReason.IDLE: "no program has needed an engine lately",
        ScalingReason.BOUNDS: f"the pool's bounds ask for {engines}, not {seen.current}",
        ScalingReason.LIMIT: f"{needed} needed for {_calls(seen)}, and the pool may have {seen.engines}",
        ScalingReason.STABILIZING: f"{needed} needed for {_calls(seen)}, more a while ago",
        ScalingReason.ENOUGH: f"{engines} for {_calls(seen)}",
    }[seen.reason]
    return f"{said[0].upper()}{said[1:]}."


def _engines(count: int) -> str:
    return f"{count or 'no'} engine{'' if count == 1 else 's'}"


def _calls(seen: Desired) -> str:
    held = f" ({seen.held} held)" if seen.held else ""
    returning = f" and {seen.returning} returning program{'' if seen.returning == 1 else 's'}" if seen.returning else ""
    return f"{seen.calls or 'no'} call{'' if seen.calls == 1 else 's'}{held}{returning}"
