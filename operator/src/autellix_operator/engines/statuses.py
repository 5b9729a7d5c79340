"""What the status of an EnginePool says: counts, drains and four conditions."""

from collections.abc import Mapping, Sequence
from typing import Any

from autellix_core.pools import PoolJSON
from autellix_core.scaling import ScalingReason
from autellix_core.wire import timestamp
from autellix_operator.engines.decisions import Decision, Said
from autellix_operator.engines.observed import Engine, Rollout
from autellix_operator.engines.pools import Mode, Pool, labels_of

__all__ = ["VOLATILE", "status", "troubles"]

VOLATILE = frozenset({"programs", "waiting", "held"})
"""What changes with every call; written no oftener than the status interval."""

Verdict = tuple[bool, str, str]
"""Whether it holds, the reason in one word, the sentence."""


def status(
    pool: Pool,
    rollout: Rollout | None,
    engines: Sequence[Engine],
    known: PoolJSON | None,
    decision: Decision,
    *,
    unknown: str,
    refused: str,
    now_s: float,
) -> dict[str, Any]:
    """The whole status. ``unknown``: why the demand is not known; ``refused``: what the API server refused to make."""
    live = [engine for engine in engines if not engine.ending]
    ready = sum(engine.ready for engine in live)
    written: dict[str, Any] = {
        "replicas": len(live),
        "readyReplicas": ready,
        "desiredReplicas": decision.wanted,
        "selector": ",".join(f"{name}={value}" for name, value in labels_of(pool).items()),
        "draining": [
            {"engine": drain.engine, "since": drain.since, "reason": drain.reason} for drain in decision.draining
        ],
        "observedGeneration": pool.generation,
        "conditions": _conditions(
            pool,
            {
                "Ready": _ready(decision.wanted, ready),
                "Scaling": _scaling(pool, decision, len(live), ready),
                "Draining": _draining(decision),
                "Degraded": _degraded(pool, rollout, live, unknown if known is None else "", refused),
            },
            now_s,
        ),
    }
    done = decision.scaled and not refused and (rollout is None or rollout.ours)
    scaled_at = timestamp(now_s) if done else pool.status.get("lastScaleTime")
    if scaled_at:
        written["lastScaleTime"] = scaled_at
    if known is not None:
        queued = sum(max(0, engine["calls"] - engine["slots"]) for engine in known["engines"] if engine["slots"])
        written["programs"] = known["active"] + known["returning"]
        written["waiting"] = known["held"] + queued
        written["held"] = known["held"]
    return written


def troubles(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Said]:
    """Events that a pool has come to be degraded, for another reason too, or is so no more."""
    was, now = _degraded_in(before), _degraded_in(after)
    if now["status"] == "True":
        same = was.get("status") == "True" and was["reason"] == now["reason"]
        return [] if same else [Said(now["reason"], now["message"], warning=True)]
    return [Said("Recovered", f"No longer: {was['message']}")] if was.get("status") == "True" else []


def _degraded_in(written: Mapping[str, Any]) -> Mapping[str, Any]:
    return next((condition for condition in written.get("conditions", ()) if condition["type"] == "Degraded"), {})


def _conditions(pool: Pool, verdicts: Mapping[str, Verdict], now_s: float) -> list[dict[str, Any]]:
    before = {condition["type"]: condition for condition in pool.status.get("conditions", ())}
    conditions = []
    for kind, (holds, reason, message) in verdicts.items():
        said, was = str(holds), before.get(kind, {})
        conditions.append(
            {
                "type": kind,
                "status": said,
                "reason": reason,
                "message": message,
                "lastTransitionTime": was["lastTransitionTime"] if was.get("status") == said else timestamp(now_s),
                "observedGeneration": pool.generation,
            }
        )
    return conditions


def _ready(wanted: int, ready: int) -> Verdict:
    if ready:
        return True, "EnginesServe", f"{ready} of {_engines(max(ready, wanted))} can serve."
    if wanted:
        return False, "NoEngine", f"None of {_engines(wanted)} can serve yet; gateways hold calls meanwhile."
    return True, "NoneWanted", "No engine is needed; gateways hold the first calls until one is there."


def _scaling(pool: Pool, decision: Decision, there: int, ready: int) -> Verdict:
    wanted = decision.wanted
    if decision.rolling:
        return True, "Replacing", f"Engines are being replaced; {ready} of {there} can serve."
    if there < wanted:
        return True, "ScalingUp", f"Going to {_engines(wanted)}; there are {there}."
    if there > wanted:
        return True, "ScalingDown", f"Going to {_engines(wanted)}; there are {there}, of which the others drain."
    if ready < wanted:
        return True, "Starting", f"{ready} of {_engines(wanted)} can serve."
    if pool.mode is not Mode.AUTO:
        return False, "AsAsked", f"There are as many engines as spec.replicas asks for: {wanted}."
    if decision.reason is ScalingReason.LIMIT:
        return False, "AtMaximum", f"More are needed, but scaling.maxReplicas allows {_engines(wanted)}."
    if decision.reason is None:
        return False, "DemandUnknown", f"{_engines(wanted)}, until the demand is known again."
    return False, "Enough", f"{_engines(wanted)} will do."


def _draining(decision: Decision) -> Verdict:
    if decision.draining:
        return True, "EnginesDrain", f"To go: {', '.join(drain.engine for drain in decision.draining)}."
    return False, "NoneDrains", "No engine is to go."


def _degraded(pool: Pool, rollout: Rollout | None, live: Sequence[Engine], unknown: str, refused: str) -> Verdict:
    if rollout is not None and not rollout.ours:
        return (
            True,
            "NameTaken",
            f"A Deployment {pool.children} is there that is not this pool's; delete it, or give the pool another name.",
        )
    if refused:
        return True, "Refused", f"The API server refuses what the pool needs: {refused}"
    if rollout is not None and rollout.stuck:
        return True, "RolloutStuck", f"Deployment {pool.children}: {rollout.stuck}"
    troubled = next((engine for engine in live if engine.trouble), None)
    if troubled is not None:
        return True, "EngineFails", f"Engine {troubled.id} does not start: {troubled.trouble}"
    if unknown:
        effect = "The number of engines stays as it is" if pool.mode is Mode.AUTO else "Engines drain by the clock"
        return True, "DemandUnknown", f"{unknown} {effect} until that is over."
    return False, "AsItShould", "Nothing is wrong."


def _engines(count: int) -> str:
    return f"{count or 'no'} engine{'' if count == 1 else 's'}"
