"""The API server as the rest of the operator sees it: seven verbs, any of which may be repeated without harm.

What is ours is written by server-side apply, with force, under one field manager: it says what we want whoever wrote
before, and leaves what others own alone. A failure that may pass is tried again here, a few times; then it is raised.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from autellix_core.pools import GROUP, VERSION

__all__ = [
    "DEPLOYMENT",
    "ENGINE_POOL",
    "EVENT",
    "FIELD_MANAGER",
    "LEASE",
    "NAMESPACE",
    "POD",
    "POD_DISRUPTION_BUDGET",
    "PROGRAM_SESSION",
    "SECRET",
    "SERVICE",
    "Cluster",
    "Kind",
    "kind_of",
    "owned_by",
]

FIELD_MANAGER = "autellix-operator"
"""Owner of the fields that we apply, and the source of our events."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of objects. All of ours live in a namespace; ``""`` stands for none, or for all of them."""

    api_version: str
    kind: str
    plural: str

    @property
    def group(self) -> str:
        """Its API group; "" is the core's."""
        return self.api_version.rpartition("/")[0]

    def path(self, namespace: str, name: str = "", subresource: str = "") -> str:
        """Its URL path: of the collection, of one object, of a subresource."""
        root = "apis" if self.group else "api"
        within = f"namespaces/{namespace}/" if namespace else ""
        parts = (part for part in (f"/{root}/{self.api_version}/{within}{self.plural}", name, subresource) if part)
        return "/".join(parts)


PROGRAM_SESSION = Kind(f"{GROUP}/{VERSION}", "ProgramSession", "programsessions")
ENGINE_POOL = Kind(f"{GROUP}/{VERSION}", "EnginePool", "enginepools")
DEPLOYMENT = Kind("apps/v1", "Deployment", "deployments")
SERVICE = Kind("v1", "Service", "services")
POD = Kind("v1", "Pod", "pods")
SECRET = Kind("v1", "Secret", "secrets")
POD_DISRUPTION_BUDGET = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
LEASE = Kind("coordination.k8s.io/v1", "Lease", "leases")
NAMESPACE = Kind("v1", "Namespace", "namespaces")
EVENT = Kind("events.k8s.io/v1", "Event", "events")

_KINDS = {
    (kind.api_version, kind.kind): kind
    for kind in (PROGRAM_SESSION, ENGINE_POOL, DEPLOYMENT, SERVICE, POD, SECRET, POD_DISRUPTION_BUDGET, LEASE, EVENT)
}


def kind_of(body: Mapping[str, Any]) -> Kind:
    """The kind that an object says it is. Raises KeyError for one that the operator has no business with."""
    return _KINDS[body["apiVersion"], body["kind"]]


def owned_by(owner: Mapping[str, Any]) -> list[dict[str, Any]]:
    """``metadata.ownerReferences`` of what goes when its owner goes. The owner needs ``apiVersion`` and ``kind``."""
    return [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]


class Cluster(Protocol):
    """What the operator asks of the API server. Every verb raises :class:`~autellix_operator.errors.ClusterError`."""

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make the object so, or make it. With ``metadata.uid`` it is never made: another one raises Conflicted."""
        ...

    async def apply_status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Make its status so; ``body`` holds apiVersion, kind, metadata and status. Gone raises NotThere."""
        ...

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """The object, or None."""
        ...

    async def list(
        self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """All of a namespace (of every one: ""), each with apiVersion and kind."""
        ...

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any] | None:
        """JSON merge patch. Gone: None. With ``metadata.resourceVersion``, a change by others raises Conflicted."""
        ...

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """Delete it and what it owns. Gone already, or another one by that name, is fine."""
        ...

    async def event(self, about: Mapping[str, Any], *, reason: str, message: str, warning: bool = False) -> None:
        """Tell people who look at the object. Never fails its caller; a repetition within ten minutes is dropped."""
        ...
