"""An EnginePool object as the values that decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from autellix_core.pools import POOL_LABEL
from autellix_core.scaling import ScalingPolicy

__all__ = ["Drain", "Mode", "Pool", "labels_of"]

_USUAL_TARGET = 8
"""Calls an engine, where neither the pool nor its engines' batch says."""


class Mode(StrEnum):
    """Who decides how many engines there are."""

    AUTO = "Auto"
    MANUAL = "Manual"
    EXTERNAL = "External"


@dataclass(frozen=True, slots=True)
class Drain:
    """An engine that is to go, as ``status.draining`` holds it."""

    engine: str
    since: str
    """RFC 3339, UTC."""
    reason: str


@dataclass(frozen=True, slots=True)
class Pool:
    """One EnginePool. The API server has filled in defaults and refused what cannot work."""

    body: Mapping[str, Any]
    """The object, with apiVersion and kind."""

    @property
    def namespace(self) -> str:
        """Of the object and all that is made for it."""
        return str(self.body["metadata"]["namespace"])

    @property
    def name(self) -> str:
        """The value of the label ``autellix.dev/pool``."""
        return str(self.body["metadata"]["name"])

    @property
    def uid(self) -> str:
        """Another pool of the same name has another."""
        return str(self.body["metadata"]["uid"])

    @property
    def generation(self) -> int:
        """Of the spec."""
        return int(self.body["metadata"]["generation"])

    @property
    def going(self) -> bool:
        """It was deleted, so nothing is made for it any more."""
        return "deletionTimestamp" in self.body["metadata"]

    @property
    def spec(self) -> Mapping[str, Any]:
        """As it was given, with defaults."""
        spec: Mapping[str, Any] = self.body["spec"]
        return spec

    @property
    def status(self) -> Mapping[str, Any]:
        """As it was written last; empty at first."""
        status: Mapping[str, Any] = self.body.get("status") or {}
        return status

    @property
    def model(self) -> str:
        """What calls name."""
        return str(self.spec["model"]["name"])

    @property
    def children(self) -> str:
        """What its Deployment, Service and PodDisruptionBudget are called."""
        return f"{self.name}-engine"

    @property
    def mode(self) -> Mode:
        """Who decides."""
        return Mode(self.spec["scaling"]["mode"])

    @property
    def replicas(self) -> int:
        """What a person or an autoscaler asks for, in the modes Manual and External."""
        return int(self.spec["replicas"])

    @property
    def drain_s(self) -> float:
        """How long an engine that is to go may still serve its own programs."""
        return float(self.spec["scaling"]["drainSeconds"])

    @property
    def policy(self) -> ScalingPolicy:
        """By which the mode Auto decides."""
        scaling = self.spec["scaling"]
        slots = self.spec["engine"].get("slots", _USUAL_TARGET)
        return ScalingPolicy(
            min_engines=scaling["minReplicas"],
            max_engines=scaling["maxReplicas"],
            target_calls=scaling.get("targetCalls", min(_USUAL_TARGET, slots)),
            target_wait_s=scaling["targetWaitSeconds"],
            returning_share=scaling["returningShare"],
            stabilization_s=scaling["stabilizationSeconds"],
            idle_s=scaling["idleSeconds"],
        )

    @property
    def draining(self) -> tuple[Drain, ...]:
        """Engines that were to go when the status was written last."""
        return tuple(
            Drain(entry["engine"], entry["since"], entry.get("reason", "")) for entry in self.status.get("draining", ())
        )


def labels_of(pool: Pool) -> dict[str, str]:
    """By which the pool's pods are found; a Deployment's selector cannot be changed, so this cannot either."""
    return {
        "app.kubernetes.io/name": "autellix",
        "app.kubernetes.io/component": "engine",
        POOL_LABEL: pool.name,
    }
