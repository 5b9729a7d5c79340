"""Which engine a call goes to: Algorithm 2, and the rules to compare it with.

A decision is a pure function of a snapshot: the engines and how many calls each holds. The same snapshot gives the
same engine on every gateway, so ties are broken by name, never by chance.

An engine that is being given up (``draining``) stays only its own programs' home: it takes the long calls that would
otherwise lose what it holds of them, and nothing else, unless no other engine is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from autellix_core.errors import InvalidSetting, NoEngine
from autellix_core.program import EngineId

__all__ = [
    "EngineLoad",
    "LeastUsed",
    "Local",
    "LowestCost",
    "Placement",
    "PlacementPolicy",
    "Reason",
    "RoundRobin",
    "place",
]


class Reason(StrEnum):
    """Why a call went where it went."""

    SHORT = "short"
    """At most the threshold's tokens: any engine is as good, so the least-used one."""
    HOME = "home"
    """A long call to the engine that holds its program."""
    FIRST_LONG = "first-long"
    """The program's first long call: the least-used engine becomes its home."""
    REHOMED = "rehomed"
    """The program's home is not among the engines any more; the least-used one becomes its home."""
    OVERFLOW = "overflow"
    """The home holds so many more calls than the least-used engine that moving costs less than waiting."""
    LEAST_USED = "least-used"
    ROUND_ROBIN = "round-robin"
    LOWEST_COST = "lowest-cost"


@dataclass(frozen=True, slots=True)
class EngineLoad:
    """An engine that takes calls, and how many it holds (running and queued)."""

    id: EngineId
    calls: int
    draining: bool = False
    """It is to end once its programs are done with it."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a call goes, why, and whether that engine becomes its program's home."""

    engine: EngineId
    reason: Reason
    home: bool


@dataclass(frozen=True, slots=True)
class Local:
    """Algorithm 2. Calls up to ``short_tokens`` go to the least-used engine, longer ones to their program's.

    ``overflow_calls``: where a home holds that many calls more than the least-used engine, a long call moves there
    and the home with it. ``None`` is the paper's rule, which never leaves a home.

    Trade-offs: a hot home keeps its programs waiting unless overflow is on; a threshold in tokens knows nothing of
    what is really cached.
    """

    short_tokens: int = 2048
    overflow_calls: int | None = None

    def __post_init__(self) -> None:
        if self.short_tokens < 0 or (self.overflow_calls is not None and self.overflow_calls < 1):
            raise InvalidSetting(
                "Placement needs short_tokens >= 0 and overflow_calls >= 1 (or absent), "
                f"not {self.short_tokens} and {self.overflow_calls}."
            )


@dataclass(frozen=True, slots=True)
class LeastUsed:
    """Every call to the engine that holds fewest. For comparison: balanced, blind to the cache."""


@dataclass(frozen=True, slots=True)
class RoundRobin:
    """Every call to the next engine in turn. For comparison: blind to load and cache."""


@dataclass(frozen=True, slots=True)
class LowestCost:
    """The engine where the call's prefill and its wait are expected to end first.

    ``cost = uncached tokens * prefill_s_per_token + calls in the engine * wait_s_per_call``, and on the home the
    program's ``cached_tokens`` need no prefill. It replaces the fixed threshold where prompts are long: then
    Algorithm 2 always stays at home, however hot.

    Trade-offs: both rates must be measured for the model and the hardware; a wrong one tips the balance.
    """

    prefill_s_per_token: float
    wait_s_per_call: float

    def __post_init__(self) -> None:
        if not (self.prefill_s_per_token > 0 and self.wait_s_per_call > 0):
            raise InvalidSetting("Placement by cost needs both rates above 0 seconds; measure them for the engine.")


PlacementPolicy = Local | LeastUsed | RoundRobin | LowestCost


def place(
    policy: PlacementPolicy,
    engines: Sequence[EngineLoad],
    *,
    tokens: int,
    home: EngineId | None = None,
    cached_tokens: int = 0,
    turn: int = 0,
) -> Placement:
    """Choose the engine of one call of ``tokens`` prompt tokens.

    ``home`` is its program's engine, ``cached_tokens`` what that engine is thought to hold of the prompt, ``turn`` the
    count of calls so far (round robin only). Among equally used engines the home is taken, then the first by name.
    A draining home is kept by the rules that keep to homes: by the threshold, or by cost for what it has cached.

    Raises :class:`NoEngine` where ``engines`` is empty.
    """
    if not engines:
        raise NoEngine("No engine is ready to take a call; wait for one to start, or add one.")
    staying = [engine for engine in engines if not engine.draining] or engines
    least = min(staying, key=lambda engine: (engine.calls, engine.id != home, engine.id))
    if isinstance(policy, Local):
        return _local(policy, engines, least, tokens, home)
    if isinstance(policy, LowestCost):
        candidates = [engine for engine in engines if engine in staying or (engine.id == home and cached_tokens)]
        return _lowest_cost(policy, candidates, tokens, home, cached_tokens)
    if isinstance(policy, LeastUsed):
        return Placement(least.id, Reason.LEAST_USED, home=home is None)
    in_order = sorted(staying, key=lambda engine: engine.id)
    return Placement(in_order[turn % len(in_order)].id, Reason.ROUND_ROBIN, home=home is None)


def _local(
    policy: Local, engines: Sequence[EngineLoad], least: EngineLoad, tokens: int, home: EngineId | None
) -> Placement:
    if tokens <= policy.short_tokens:
        return Placement(least.id, Reason.SHORT, home=False)
    if home is None:
        return Placement(least.id, Reason.FIRST_LONG, home=True)
    held = next((engine for engine in engines if engine.id == home), None)
    if held is None:
        return Placement(least.id, Reason.REHOMED, home=True)
    if policy.overflow_calls is not None and held.calls - least.calls >= policy.overflow_calls:
        return Placement(least.id, Reason.OVERFLOW, home=True)
    return Placement(held.id, Reason.HOME, home=False)


def _lowest_cost(
    policy: LowestCost,
    engines: Sequence[EngineLoad],
    tokens: int,
    home: EngineId | None,
    cached_tokens: int,
) -> Placement:
    def cost_s(engine: EngineLoad) -> float:
        uncached = tokens - min(tokens, cached_tokens) if engine.id == home else tokens
        return uncached * policy.prefill_s_per_token + engine.calls * policy.wait_s_per_call

    best = min(engines, key=lambda engine: (cost_s(engine), engine.id != home, engine.id))
    return Placement(best.id, Reason.LOWEST_COST, home=best.id != home)
