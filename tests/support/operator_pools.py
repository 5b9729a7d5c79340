"""An EnginePool's surroundings in memory: the controllers that make and delete its pods, gateways that know calls."""

import itertools
from collections.abc import Mapping
from typing import Any

from autellix_core.pools import EngineJSON, PoolJSON, PoolsJSON
from autellix_operator.cluster import DEPLOYMENT, ENGINE_POOL, POD
from autellix_operator.engines.reconciling import EnginePools
from autellix_operator.errors import OperatorError
from operator_cluster import MemoryCluster

__all__ = ["Surroundings", "pool_body"]

_COST = "controller.kubernetes.io/pod-deletion-cost"


def pool_body(name: str = "tiny", *, scaling: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """An EnginePool with the defaults that the API server fills in."""
    return {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": "EnginePool",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "model": {"name": "tiny", "source": "/models/tiny"},
            "engine": {
                "kind": "vllm",
                "image": "autellix-engine:1",
                "imagePullPolicy": "IfNotPresent",
                "startupSeconds": 1800,
            },
            "resources": {},
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
            "replicas": 1,
            "hold": {"maxCalls": 1000, "seconds": 300},
            "scaling": {
                "mode": "Auto",
                "minReplicas": 1,
                "maxReplicas": 4,
                "targetWaitSeconds": 1,
                "returningShare": 0.5,
                "stabilizationSeconds": 120,
                "idleSeconds": 600,
                "drainSeconds": 300,
                **(scaling or {}),
            },
            **spec,
        },
    }


class Surroundings:
    """One pool and everything around it but the operator; its time stands still unless told.

    ``calls`` and ``programs`` are by engine; ``away`` is raised by the gateways instead of an answer.
    """

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.now_s = 1_700_000_000.0
        self.cluster = MemoryCluster(now=lambda: self.now_s)
        self.cluster.create(body)
        self.name = body["metadata"]["name"]
        self.calls: dict[str, int] = {}
        self.programs: dict[str, int] = {}
        self.cached: dict[str, int] = {}
        self.held = self.active = self.returning = 0
        self.shared = True
        self.away: OperatorError | None = None
        self.starts_well = True
        self._numbers = itertools.count()

    def operator(self) -> EnginePools:
        """A fresh one, which remembers nothing."""
        return EnginePools(self.cluster, self.demand, now=lambda: self.now_s)

    async def demand(self) -> PoolsJSON:
        """What the gateways say, as they read the objects."""
        if self.away is not None:
            raise self.away
        pool = self.cluster.see(ENGINE_POOL, self.name)
        draining = {entry["engine"] for entry in pool.get("status", {}).get("draining", ())}
        known = PoolJSON(
            name=self.name,
            model=pool["spec"]["model"]["name"],
            held=self.held,
            longest_held_seconds=0.0,
            active=self.active,
            returning=self.returning,
            engines=[self._known(pod, draining) for pod in self.pods if "Ready" in str(pod.get("status"))],
        )
        return PoolsJSON(at=self.now_s, gateways=1, shared=self.shared, pools=[known])

    @property
    def pods(self) -> list[dict[str, Any]]:
        """All pods, by name."""
        return self.cluster.all(POD)

    @property
    def names(self) -> list[str]:
        """Of the pods."""
        return [pod["metadata"]["name"] for pod in self.pods]

    @property
    def status(self) -> dict[str, Any]:
        """Of the pool."""
        status: dict[str, Any] = self.cluster.see(ENGINE_POOL, self.name).get("status", {})
        return status

    @property
    def replicas(self) -> int:
        """That the Deployment was told to have."""
        return int(self.cluster.see(DEPLOYMENT, f"{self.name}-engine")["spec"]["replicas"])

    @property
    def draining(self) -> list[str]:
        """Engines that the status says are to go."""
        return [entry["engine"] for entry in self.status.get("draining", ())]

    def condition(self, kind: str) -> dict[str, Any]:
        """One of the status's."""
        found: dict[str, Any] = next(entry for entry in self.status["conditions"] if entry["type"] == kind)
        return found

    def said(self, reason: str) -> list[str]:
        """Messages of the events with that reason."""
        return [message for _, why, message in self.cluster.events if why == reason]

    def scale(self, patch: Mapping[str, Any]) -> None:
        """Somebody changes the pool's spec."""
        self.cluster.edit(ENGINE_POOL, "default", self.name, {"spec": patch})

    def controllers(self) -> None:
        """The Deployment's controllers do all that they would: delete what is too much, make what lacks, start it."""
        found = [entry for entry in self.cluster.all(DEPLOYMENT) if entry["metadata"]["name"] == f"{self.name}-engine"]
        for deployment in found:
            self._say(deployment["metadata"]["name"])
            wanted = deployment["spec"]["replicas"]
            by_rank = sorted(self.pods, key=lambda pod: (_ready(pod), _cost(pod), pod["metadata"]["name"]))
            for pod in by_rank[: max(0, len(by_rank) - wanted)]:
                self.cluster.remove(POD, "default", pod["metadata"]["name"])
            for _ in range(wanted - len(self.pods)):
                self.cluster.create(_pod(f"{self.name}-engine-{next(self._numbers)}", self.name, deployment))
        if self.starts_well:
            for name in self.names:
                self.start(name)
        for deployment in found:
            self._say(deployment["metadata"]["name"])

    def _say(self, name: str) -> None:
        """The Deployment's status follows its pods."""
        deployment = self.cluster.see(DEPLOYMENT, name)
        updated = [pod for pod in self.pods if pod["metadata"]["labels"]["pod-template-hash"] == _template(deployment)]
        status = {
            "observedGeneration": deployment["metadata"]["generation"],
            "replicas": len(self.pods),
            "updatedReplicas": len(updated),
            "readyReplicas": sum(_ready(pod) for pod in self.pods),
        }
        if {**deployment.get("status", {}), **status} != deployment.get("status"):
            self.cluster.edit(DEPLOYMENT, "default", name, {"status": status})

    def start(self, name: str) -> None:
        """A pod becomes ready."""
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        self.cluster.edit(POD, "default", name, {"status": status})

    def _known(self, pod: Mapping[str, Any], draining: set[str]) -> EngineJSON:
        name = pod["metadata"]["name"]
        return EngineJSON(
            id=name,
            ready=True,
            draining=name in draining,
            calls=self.calls.get(name, 0),
            slots=8,
            wait_seconds=0.0,
            programs=self.programs.get(name, 0),
            cached_tokens=self.cached.get(name, 0),
        )


def _pod(name: str, pool: str, deployment: Mapping[str, Any]) -> dict[str, Any]:
    labels = {
        "autellix.dev/pool": pool,
        "app.kubernetes.io/component": "engine",
        "pod-template-hash": _template(deployment),
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "status": {"phase": "Pending"},
    }


def _template(deployment: Mapping[str, Any]) -> str:
    return str(abs(hash(str(deployment["spec"]["template"]))))


def _ready(pod: Mapping[str, Any]) -> bool:
    return any(condition["status"] == "True" for condition in pod.get("status", {}).get("conditions", ()))


def _cost(pod: Mapping[str, Any]) -> int:
    return int(pod["metadata"].get("annotations", {}).get(_COST, 0))
