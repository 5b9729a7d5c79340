"""The rows of all gateways and the programs of the table, added up by pool. No clock and no I/O."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from autellix_core.pools import EngineJSON, PoolJSON
from autellix_core.program import EngineId, Program, State, state
from autellix_gateway.demand.rows import EngineRow, GatewayRow

__all__ = ["Known", "PoolDemand", "add_up", "known", "pool_of"]


@dataclass(frozen=True, slots=True)
class Known:
    """Which engines and pools there are, as all gateways together know them."""

    engines: Mapping[EngineId, EngineRow]
    """Each engine once: up if it is for one gateway, with the waits that all measured."""
    models: Mapping[str, str]
    """Model by pool."""
    held: Mapping[str, tuple[int, float]]
    """By pool: calls held in all gateways, and how long the first of them has been, in seconds."""
    serving: Mapping[str, str]
    """By model, the first pool by name that serves it."""


@dataclass(frozen=True, slots=True)
class PoolDemand:
    """One pool, and what is not in its JSON."""

    json: PoolJSON
    waited_s: float
    """Queue time of the calls that ended in its engines within the last minute, in all."""
    waited_calls: int
    """How many calls those were."""

    @property
    def calls(self) -> int:
        """In its engines, running and queued."""
        return sum(engine["calls"] for engine in self.json["engines"])

    @property
    def waiting(self) -> int:
        """Calls that gateways hold, and those in engines beyond what their batches take, where they say how much."""
        beyond = (max(0, engine["calls"] - engine["slots"]) for engine in self.json["engines"] if engine["slots"])
        return self.json["held"] + sum(beyond)

    @property
    def mean_wait_s(self) -> float:
        """Over the calls that ended within the last minute."""
        return self.waited_s / self.waited_calls if self.waited_calls else 0.0

    @property
    def ready(self) -> int:
        """Engines that at least one gateway reaches."""
        return sum(engine["ready"] for engine in self.json["engines"])


def known(rows: Iterable[GatewayRow]) -> Known:
    """Add up what gateways say of themselves."""
    engines: dict[EngineId, EngineRow] = {}
    models: dict[str, str] = {}
    held: dict[str, tuple[int, float]] = {}
    for row in rows:
        models.update(row.pools)
        for engine in row.engines:
            engines[engine.id] = _both(engines[engine.id], engine) if engine.id in engines else engine
        for pool, (calls, longest_s) in row.held.items():
            before, longest_before_s = held.get(pool, (0, 0.0))
            held[pool] = (before + calls, max(longest_before_s, longest_s))
    for engine in sorted(engines.values(), key=lambda engine: engine.id):
        if not models.get(engine.pool):
            models[engine.pool] = next(iter(engine.models), "")
    for pool in held:
        models.setdefault(pool, "")
    pairs = [(pool, model) for pool, model in models.items() if model]
    pairs += [(engine.pool, model) for engine in engines.values() for model in engine.models]
    serving = {model: pool for pool, model in sorted(pairs, reverse=True)}
    return Known(engines, models, held, serving)


def pool_of(program: Program, of: Known) -> str | None:
    """The pool that a program's next call would go to: its home's, else that of an engine that ran a call of it, the
    latest first, else the first by name that serves its model. None where nothing of that is known."""
    for engine in (program.home, *reversed(program.engines)):
        if engine is not None and engine in of.engines:
            return of.engines[engine].pool
    return of.serving.get(program.model)


@dataclass(slots=True)
class _Programs:
    active: Counter[str] = field(default_factory=Counter)
    returning: Counter[str] = field(default_factory=Counter)
    at_home: Counter[EngineId] = field(default_factory=Counter)
    tokens: Counter[EngineId] = field(default_factory=Counter)


def add_up(
    of: Known, programs: Sequence[Program], *, engine_calls: Mapping[EngineId, int], returning_since: float
) -> Sequence[PoolDemand]:
    """Every pool, by name. ``programs``: those that were active lately; one between two calls counts as returning where
    it was heard of at ``returning_since`` (the table's clock) or later."""
    counts = _count(of, programs, returning_since)
    pools = []
    for name in sorted(of.models):
        engines = sorted((e for e in of.engines.values() if e.pool == name), key=lambda engine: engine.id)
        held, longest_s = of.held.get(name, (0, 0.0))
        shown: PoolJSON = {
            "name": name,
            "model": of.models[name],
            "held": held,
            "longest_held_seconds": longest_s,
            "active": counts.active[name],
            "returning": counts.returning[name],
            "engines": [_engine(engine, engine_calls.get(engine.id, 0), counts) for engine in engines],
        }
        waited_s, waited_calls = sum(e.waited_s for e in engines), sum(e.waited_calls for e in engines)
        pools.append(PoolDemand(shown, waited_s, waited_calls))
    return tuple(pools)


def _count(of: Known, programs: Sequence[Program], returning_since: float) -> _Programs:
    counts = _Programs()
    for program in programs:
        what, pool = state(program), pool_of(program, of)
        if pool is not None and what is State.ACTIVE:
            counts.active[pool] += 1
        heard_at = max(program.last_arrival_at or 0.0, program.last_completion_at or 0.0)
        if pool is not None and what is State.IDLE and heard_at >= returning_since:
            counts.returning[pool] += 1
        if program.home is not None and program.home in of.engines and what in (State.ACTIVE, State.IDLE):
            counts.at_home[program.home] += 1
            counts.tokens[program.home] += program.prompt_tokens + program.output_tokens
    return counts


def _engine(engine: EngineRow, calls: int, counts: _Programs) -> EngineJSON:
    return {
        "id": engine.id,
        "ready": engine.up,
        "draining": engine.draining,
        "calls": calls,
        "slots": engine.slots,
        "wait_seconds": engine.waited_s / engine.waited_calls if engine.waited_calls else 0.0,
        "programs": counts.at_home[engine.id],
        "cached_tokens": counts.tokens[engine.id],
    }


def _both(one: EngineRow, other: EngineRow) -> EngineRow:
    return EngineRow(
        id=one.id,
        pool=one.pool or other.pool,
        models=one.models or other.models,
        up=one.up or other.up,
        draining=one.draining or other.draining,
        slots=max(one.slots, other.slots),
        waited_s=one.waited_s + other.waited_s,
        waited_calls=one.waited_calls + other.waited_calls,
    )
