"""A pool as it stands: its Deployment and pods, and what the gateways know of its engines."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autellix_core.pools import EngineJSON, PoolJSON
from autellix_core.program import EngineId
from autellix_core.scaling import Demand, EngineDemand
from autellix_operator.engines.pools import Pool

__all__ = ["DELETION_COST", "LOWEST_COST", "Engine", "Rollout", "agree", "demand", "engines", "reported", "rollout"]

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation of a pod: of those that are ready, the one with the lowest goes when its Deployment gets smaller."""

LOWEST_COST = "-2147483648"

_TROUBLE = {
    "CrashLoopBackOff",
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "RunContainerError",
}
"""Why a container waits, where it does not merely start."""


@dataclass(frozen=True, slots=True)
class Engine:
    """One pod of the pool, and what the gateways know of it."""

    id: str
    ready: bool
    """Its pod is."""
    ending: bool
    """Its pod was deleted; the pod's own end waits for the calls in it."""
    marked: bool
    """Its pod has our deletion cost."""
    template: str
    """Hash of the pod template that it was made of."""
    trouble: str
    """A sentence about what keeps it from starting, or ""."""
    known: EngineJSON | None
    """What the gateways know of it."""

    @property
    def empty(self) -> bool:
        """No call is in it, none will come, and no program that was active lately calls it its home."""
        if self.known is None:
            return not self.ready
        if self.known["calls"] or not (self.known["draining"] or not self.known["ready"]):
            return False
        return not self.known["programs"] or not self.ready


@dataclass(frozen=True, slots=True)
class Rollout:
    """The pool's Deployment."""

    replicas: int
    """That it was told to have."""
    ours: bool
    """It belongs to this pool, not to another one or to somebody else."""
    stuck: str
    """A sentence about what keeps it from having its pods, or ""."""


def rollout(pool: Pool, found: Mapping[str, Any] | None) -> Rollout | None:
    """What the Deployment says; None where there is none."""
    if found is None:
        return None
    metadata = found["metadata"]
    stuck = ""
    for condition in (found.get("status") or {}).get("conditions", ()):
        failed = condition["type"] == "ReplicaFailure" and condition["status"] == "True"
        if failed or (condition["type"] == "Progressing" and condition["status"] == "False"):
            stuck = stuck or str(condition.get("message") or condition.get("reason") or "it does not progress")
    return Rollout(
        replicas=found["spec"].get("replicas", 1),
        ours=any(owner["uid"] == pool.uid for owner in metadata.get("ownerReferences", ())),
        stuck=stuck,
    )


def engines(pods: Sequence[Mapping[str, Any]]) -> tuple[Engine, ...]:
    """The pool's pods by name, without those that have ended."""
    return tuple(
        _engine(pod)
        for pod in sorted(pods, key=lambda pod: str(pod["metadata"]["name"]))
        if (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed")
    )


def reported(found: Sequence[Engine], known: PoolJSON | None) -> tuple[Engine, ...]:
    """The same, with what the gateways know of each now."""
    reports = {} if known is None else {engine["id"]: engine for engine in known["engines"]}
    return tuple(replace(engine, known=reports.get(engine.id)) for engine in found)


def agree(deployment: Mapping[str, Any], found: Sequence[Engine]) -> bool:
    """Whether the Deployment and its pods both say that all are there, as they should be, and ready.

    From then on its status changes when one of them becomes another, is deleted or is no longer ready.
    """
    wanted, status = deployment["spec"].get("replicas", 1), deployment.get("status") or {}
    counts = [status.get(name, 0) for name in ("replicas", "updatedReplicas", "readyReplicas")]
    return (
        status.get("observedGeneration") == deployment["metadata"].get("generation")
        and counts == [wanted] * len(counts)
        and len(found) == wanted
        and all(engine.ready and not engine.ending for engine in found)
    )


def demand(found: Sequence[Engine], known: PoolJSON, draining: Sequence[str]) -> Demand:
    """What the programs ask of the pool's engines; those whose pods end count no more."""
    return Demand(
        engines=tuple(_engine_demand(engine, engine.id in draining) for engine in found if not engine.ending),
        held=known["held"],
        active=known["active"],
        returning=known["returning"],
    )


def _engine(pod: Mapping[str, Any]) -> Engine:
    metadata, status = pod["metadata"], pod.get("status") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    return Engine(
        id=str(metadata["name"]),
        ready=conditions.get("Ready", {}).get("status") == "True",
        ending="deletionTimestamp" in metadata,
        marked=(metadata.get("annotations") or {}).get(DELETION_COST) == LOWEST_COST,
        template=str((metadata.get("labels") or {}).get("pod-template-hash", "")),
        trouble=_trouble(status, conditions),
        known=None,
    )


def _trouble(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        return f"no node takes it: {scheduled.get('message', 'unschedulable')}"
    for container in status.get("containerStatuses", ()):
        waiting = container.get("state", {}).get("waiting") or {}
        if waiting.get("reason") in _TROUBLE:
            return f"{waiting['reason']}: {waiting.get('message', 'no message')}"
    return ""


def _engine_demand(engine: Engine, draining: bool) -> EngineDemand:
    known = engine.known
    if known is None:
        return EngineDemand(EngineId(engine.id), ready=False, draining=draining)
    return EngineDemand(
        EngineId(engine.id),
        ready=known["ready"],
        draining=draining,
        calls=known["calls"],
        slots=known["slots"],
        wait_s=known["wait_seconds"],
        programs=known["programs"],
        cached_tokens=known["cached_tokens"],
    )
