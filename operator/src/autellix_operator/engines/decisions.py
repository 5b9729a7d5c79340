"""What to do about a pool, from one look at it: how many engines, which of them drain, and which may go now.

Pure, and it remembers nothing but how the demand went (:class:`~autellix_core.scaling.History`, which may be lost at
any time): whatever else a later look needs stands in the EnginePool's status, in the Deployment and on its pods. So the
operator may die between any two of its writes, and the next look goes on from there:

1. An engine that is to go stands in ``status.draining``. Gateways give it no new program.
2. Once it is empty, or has had ``drainSeconds``, its pod gets the lowest deletion cost.
3. Only then is the Deployment told to have one engine less; until its pod is gone, the engine stays in ``draining``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from autellix_core.pools import PoolJSON
from autellix_core.scaling import History, ScalingReason, desired, explain, give_up
from autellix_core.wire import timestamp
from autellix_operator.engines.observed import Engine, Rollout, demand
from autellix_operator.engines.pools import Drain, Mode, Pool

__all__ = ["Decision", "Said", "decide"]


@dataclass(frozen=True, slots=True)
class Said:
    """An event about the pool."""

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, and why."""

    replicas: int
    """For the Deployment."""
    wanted: int
    """Engines that the pool is to have in the end."""
    draining: tuple[Drain, ...]
    mark: tuple[str, ...]
    """Pods that get the lowest deletion cost."""
    unmark: tuple[str, ...]
    """Pods that lose it."""
    events: tuple[Said, ...]
    history: History
    scaled: bool
    """The Deployment is told another number than it had."""
    rolling: bool
    """Its pods are being replaced."""
    reason: ScalingReason | None
    """Of the mode Auto, where the demand is known."""


@dataclass(frozen=True, slots=True)
class _Wish:
    """How many engines, and the sentence that says why."""

    engines: int
    why: str
    history: History
    reason: ScalingReason | None = None


def decide(
    pool: Pool,
    rollout: Rollout | None,
    engines: Sequence[Engine],
    known: PoolJSON | None,
    *,
    history: History,
    now_s: float,
) -> Decision:
    """One look. ``known`` is None where the demand is not known; then an automatic pool stays as it is.

    ``now_s`` is in seconds since the epoch, as drains that another operator began are timed by it.
    """
    live = [engine for engine in engines if not engine.ending]
    there = {engine.id for engine in engines}
    before = [drain for drain in pool.draining if drain.engine in there]
    leaving = [engine for engine in live if any(drain.engine == engine.id for drain in before)]
    had = 0 if rollout is None else rollout.replicas
    # Those that the Deployment was told to do without, and whose pods it has not deleted yet.
    dismissed = min(max(0, len(live) - had), sum(engine.marked for engine in leaving))
    current = max(0, had + dismissed - len(leaving))
    wish = _wish(pool, engines, known, (had, current), before, history=history, now_s=now_s)
    rolling = len({engine.template for engine in live}) > 1 and not (rollout is not None and rollout.stuck)

    blind = known is None and rollout is not None and pool.mode is Mode.AUTO
    blind = blind and wish.engines == had and current >= pool.policy.min_engines
    # A Deployment that replaces its pods gets smaller where it likes, so one thing after the other.
    waits = blind or (rolling and 0 < wish.engines < had)
    if waits:
        replicas, going = had, {engine.id for engine in leaving}
    elif rolling and wish.engines:
        replicas, going = wish.engines, set()
    else:
        replicas, going = wish.engines, _to_go(live, known, before, max(0, len(live) - wish.engines))
    may_go = [
        engine for engine in live if engine.id in going and not waits and _done(engine, before, pool.drain_s, now_s)
    ]
    if replicas < had:
        replicas = min(had, max(replicas, len(live) - len(may_go)))
    ending = {engine.id for engine in engines if engine.ending}
    kept = [drain for drain in before if drain.engine in going | ending]
    begun = [
        Drain(engine.id, timestamp(now_s), wish.why)
        for engine in live
        if engine.id in going and all(drain.engine != engine.id for drain in before)
    ]
    return Decision(
        replicas=replicas,
        wanted=wish.engines,
        draining=(*kept, *begun),
        mark=tuple(engine.id for engine in may_go if not engine.marked),
        unmark=tuple(engine.id for engine in live if engine.marked and engine.id not in going),
        events=(
            *(Said("EngineGone", f"Engine {drain.engine} is gone.") for drain in pool.draining if drain not in before),
            *_drains(begun, [drain for drain in before if drain not in kept], wish.why),
            *_scaled(had, replicas, wish.why, [engine.id for engine in may_go], new=rollout is None),
        ),
        history=wish.history,
        scaled=replicas != had,
        rolling=rolling,
        reason=wish.reason,
    )


def _wish(
    pool: Pool,
    engines: Sequence[Engine],
    known: PoolJSON | None,
    engines_now: tuple[int, int],
    before: Sequence[Drain],
    *,
    history: History,
    now_s: float,
) -> _Wish:
    """``engines_now``: that the Deployment was told to have, and without those that drain."""
    had, current = engines_now
    if pool.mode is not Mode.AUTO:
        return _Wish(pool.replicas, f"spec.replicas asks for {_count(pool.replicas)}.", History())
    policy = pool.policy
    if known is None:
        within = max(policy.min_engines, min(had, policy.max_engines))
        return _Wish(within, f"The pool's bounds ask for {_count(within)}, not {had}.", history)
    asked = demand(engines, known, [drain.engine for drain in before])
    seen, history = desired(policy, asked, current=current, history=history, now_s=now_s)
    return _Wish(seen.engines, explain(seen), history, seen.reason)


def _to_go(live: Sequence[Engine], known: PoolJSON | None, before: Sequence[Drain], count: int) -> set[str]:
    nothing = PoolJSON(name="", model="", held=0, longest_held_seconds=0.0, active=0, returning=0, engines=[])
    asked = demand(live, known or nothing, [drain.engine for drain in before])
    return set(give_up(asked, count))


def _done(engine: Engine, before: Sequence[Drain], drain_s: float, now_s: float) -> bool:
    """It may go: it is empty, or it had its time, or it was found so before and nobody wants it back."""
    since = next((drain.since for drain in before if drain.engine == engine.id), None)
    since_s = now_s if since is None else datetime.fromisoformat(since).timestamp()
    return engine.empty or now_s - since_s >= drain_s or (engine.marked and since is not None)


def _drains(begun: Sequence[Drain], taken_back: Sequence[Drain], why: str) -> list[Said]:
    return [
        *(Said("Draining", f"Draining engine {drain.engine}: {why}") for drain in begun),
        *(Said("DrainTakenBack", f"Engine {drain.engine} is taken back: {why}") for drain in taken_back),
    ]


def _scaled(had: int, replicas: int, why: str, gone: Sequence[str], *, new: bool) -> list[Said]:
    if replicas > had or (new and replicas):
        return [Said("ScaledUp", f"From {had} to {_count(replicas)}: {why}")]
    if replicas < had:
        done = f"{', '.join(gone)} drained." if gone else "those that had not started are not needed."
        return [Said("ScaledDown", f"From {had} to {_count(replicas)}: {done}")]
    return []


def _count(engines: int) -> str:
    return f"{engines} engine{'' if engines == 1 else 's'}"
