"""What the values of several components have in common."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

__all__ = ["Account", "Image", "KubernetesObject", "Labels", "Name", "Part", "Security", "Spread", "Workload"]

KubernetesObject = dict[str, Any]
"""Passed on as it is; the API server knows its shape."""

Labels = dict[str, str]

Name = Annotated[str, Field(pattern=r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$")]
"""Of an object in Kubernetes; or empty."""

Seconds = Annotated[int, Field(ge=1)]


class Part(BaseModel):
    """A mapping whose keys are known: one that is misspelt is refused."""

    model_config = ConfigDict(
        extra="forbid", alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True
    )


class Image(Part):
    """Where an image is found."""

    registry: str = ""
    """Host, and path where there is one, before the repository; empty: `imageRegistry`."""
    repository: str = Field(pattern=r"^[a-z0-9]+([._/-]+[a-z0-9]+)*$")
    """Name of the image in its registry."""
    tag: str = Field("", pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?$")
    """Empty: the chart's appVersion."""
    digest: str = Field("", pattern=r"^(sha256:[0-9a-f]{64})?$")
    """Pins the image; the tag is then ignored."""
    pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """When a node asks the registry."""


class Account(Part):
    """A ServiceAccount."""

    create: bool = True
    """Whether the chart makes it."""
    name: Name = ""
    """Empty: named after the release, or `default` where none is made."""
    annotations: Labels = {}
    """Of the account, such as a cloud's role."""


class Spread(Part):
    """How replicas keep apart."""

    enabled: bool = True
    """Whether they do."""
    topology_keys: list[str] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    """Labels of nodes that say what is apart."""
    when_unsatisfiable: Literal["ScheduleAnyway", "DoNotSchedule"] = "ScheduleAnyway"
    """What happens where they cannot."""


class Security(Part):
    """What a pod may do. The defaults pass the `restricted` Pod Security Standard."""

    pod_security_context: KubernetesObject = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    """Of the pod."""
    security_context: KubernetesObject = {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    """Of the container."""


class Workload(Security):
    """A component's pods."""

    resources: KubernetesObject = {}
    """Requests and limits of the container."""
    node_selector: Labels = {}
    """Nodes that it may run on."""
    tolerations: list[KubernetesObject] = []
    """Taints that it bears."""
    affinity: KubernetesObject = {}
    """What it wants to be near to or far from."""
    priority_class_name: Name = ""
    """Its importance to the scheduler."""
    pod_annotations: Labels = {}
    """Of its pods."""
    pod_labels: Labels = {}
    """Of its pods, besides those that select them."""
    extra_env: list[KubernetesObject] = []
    """Further variables of the container."""
    extra_volumes: list[KubernetesObject] = []
    """Further volumes of the pod."""
    extra_volume_mounts: list[KubernetesObject] = []
    """Where the container has them."""
