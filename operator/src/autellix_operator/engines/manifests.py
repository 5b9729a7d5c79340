"""What is made for an EnginePool: a Deployment, a headless Service and a PodDisruptionBudget, as server-side applied.

Pods pass the Pod Security Standard ``restricted``: not root, no privileges, a root file system that cannot be written.
"""

from collections.abc import Mapping
from typing import Any

from autellix_operator.cluster import DEPLOYMENT, POD_DISRUPTION_BUDGET, SERVICE, Kind, owned_by
from autellix_operator.engines.pools import Pool, labels_of

__all__ = ["CONTAINER", "PORT", "deployment", "disruption_budget", "service"]

CONTAINER = "engine"
PORT = 8000
_PORT_NAME = "http"

_DRAINED = ("python3", "-m", "autellix_engine.drained")
"""Waits until no call is in the engine; images of both kinds have it."""
_PROBE = {"httpGet": {"path": "/health", "port": _PORT_NAME}, "timeoutSeconds": 5}
_PROBE_EVERY_S = 5
_END_S = 30
"""Beyond the drain, for an engine to end itself after SIGTERM."""

_EMPTY = {
    "/cache": ("autellix-cache", {}),
    "/tmp": ("autellix-tmp", {}),  # noqa: S108 - the container's own
    "/dev/shm": ("autellix-shm", {"medium": "Memory"}),  # noqa: S108 - what an engine's workers speak through
}
"""Where an engine writes: models, compiled kernels, scratch."""


def deployment(pool: Pool, *, replicas: int) -> dict[str, Any]:
    """The pool's engines. ``replicas`` is always in it: a field that is left out of an apply is given up."""
    rolling = pool.spec["rollingUpdate"]
    return {
        **_heading(pool, DEPLOYMENT),
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": pool.spec["engine"]["startupSeconds"] + 600,
            "selector": {"matchLabels": labels_of(pool)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxUnavailable": rolling["maxUnavailable"], "maxSurge": rolling["maxSurge"]},
            },
            "template": _template(pool),
        },
    }


def service(pool: Pool) -> dict[str, Any]:
    """Headless: gateways watch its EndpointSlices, which name each engine and say whether it is ready or ends."""
    return {
        **_heading(pool, SERVICE),
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": False,
            "selector": labels_of(pool),
            "ports": [{"name": _PORT_NAME, "port": PORT, "targetPort": _PORT_NAME, "protocol": "TCP"}],
        },
    }


def disruption_budget(pool: Pool) -> dict[str, Any]:
    """Nodes are emptied one engine at a time, and one that does not work keeps no node from being emptied."""
    return {
        **_heading(pool, POD_DISRUPTION_BUDGET),
        "spec": {
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": labels_of(pool)},
        },
    }


def _heading(pool: Pool, kind: Kind) -> dict[str, Any]:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {
            "name": pool.children,
            "namespace": pool.namespace,
            "labels": _labels(pool),
            "ownerReferences": owned_by(pool.body),
        },
    }


def _labels(pool: Pool) -> dict[str, str]:
    """The selector's, and which release the pool belongs to, where it says."""
    release = pool.body["metadata"].get("labels", {}).get("app.kubernetes.io/instance", pool.name)
    return {
        **labels_of(pool),
        "app.kubernetes.io/instance": release,
        "app.kubernetes.io/managed-by": "autellix-operator",
    }


def _template(pool: Pool) -> dict[str, Any]:
    given: Mapping[str, Any] = pool.spec.get("podTemplate", {})
    metadata: dict[str, Any] = {"labels": _labels(pool)}
    if given.get("annotations"):
        metadata["annotations"] = given["annotations"]
    security: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    security |= {name: given[name] for name in ("runAsUser", "fsGroup") if name in given}
    empty, mounts = _empty_volumes(given)
    spec = {
        "containers": [_container(pool, [*given.get("volumeMounts", ()), *mounts])],
        "volumes": [*given.get("volumes", ()), *empty],
        "securityContext": security,
        "automountServiceAccountToken": False,
        # A Service called autellix-engine would otherwise be described to engines in AUTELLIX_ENGINE_* variables.
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": int(pool.drain_s) + _END_S,
        "topologySpreadConstraints": given.get("topologySpreadConstraints", _spread(pool)),
    }
    passed_on = (
        "nodeSelector",
        "tolerations",
        "affinity",
        "imagePullSecrets",
        "priorityClassName",
        "serviceAccountName",
        "runtimeClassName",
    )
    return {"metadata": metadata, "spec": spec | {name: given[name] for name in passed_on if name in given}}


def _empty_volumes(given: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Volumes and mounts for what is written, but where the pool mounts something of its own."""
    taken = {mount["mountPath"].rstrip("/") for mount in given.get("volumeMounts", ())}
    ours = {path: volume for path, volume in _EMPTY.items() if path not in taken}
    volumes = [{"name": name, "emptyDir": settings} for name, settings in ours.values()]
    return volumes, [{"name": name, "mountPath": path} for path, (name, _) in ours.items()]


def _spread(pool: Pool) -> list[dict[str, Any]]:
    return [
        {
            "maxSkew": 1,
            "topologyKey": key,
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": {"matchLabels": labels_of(pool)},
        }
        for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
    ]


def _container(pool: Pool, mounts: list[dict[str, Any]]) -> dict[str, Any]:
    engine = pool.spec["engine"]
    command = _command(pool)
    starts = -(-engine["startupSeconds"] // _PROBE_EVERY_S)
    return {
        "name": CONTAINER,
        "image": engine["image"],
        "imagePullPolicy": engine["imagePullPolicy"],
        "command": command[:3],
        "args": command[3:],
        "env": engine.get("env", []),
        "ports": [{"name": _PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "resources": pool.spec["resources"],
        "startupProbe": {**_PROBE, "periodSeconds": _PROBE_EVERY_S, "failureThreshold": starts},
        "readinessProbe": {**_PROBE, "periodSeconds": 2, "failureThreshold": 2},
        # An engine whose queue is long answers late; only one that has been silent for a minute is started anew.
        "livenessProbe": {**_PROBE, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {"preStop": {"exec": {"command": [*_DRAINED, "--within", str(int(pool.drain_s))]}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }


def _command(pool: Pool) -> list[str]:
    """How the engine is started."""
    engine, model = pool.spec["engine"], pool.spec["model"]
    slots = ["--max-num-seqs", str(engine["slots"])] if "slots" in engine else []
    extra = [*slots, *engine.get("args", ())]
    if engine["kind"] == "sim":
        start = ["python3", "-m", "autellix_bench", "engine-sim", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104
        return [*start, "--model", model["name"], *extra]
    start = ["python3", "-m", "autellix_engine", "--host", "0.0.0.0", "--port", str(PORT)]  # noqa: S104
    start += ["--model", model["source"], "--served-model-name", model["name"]]
    return [*start, *(["--", *extra] if extra else [])]
