"""The values of gateway, operator, hooks and the chart's test."""

from typing import Annotated, Any, Literal

from pydantic import Field

from autellix_chart.parts import Account, Image, KubernetesObject, Labels, Name, Part, Spread, Workload

__all__ = ["Auth", "Gateway", "Hooks", "Operator", "Test"]

_Key = Annotated[str, Field(pattern=r"^[^,\s]+$")]
"""A comma separates keys, so none holds one."""


class Auth(Part):
    """Keys of gateway and operator, kept in one Secret."""

    existing_secret: Name = ""
    """A Secret of yours with the keys `session-secret` and `operator-key`, and if wanted `api-keys` (separated by
    commas) and `engine-key`; empty: the chart makes one, and keeps over upgrades what it generated."""
    session_secrets: list[_Key] = []
    """Secrets of session tokens: the first signs, all are accepted; empty: one is generated."""
    operator_key: str = ""
    """What the operator shows to gateways; empty: generated."""
    api_keys: list[_Key] = []
    """Keys that clients must use; empty: any key is taken, and each is a tenant."""
    engine_key: str = ""
    """What gateways show to engines; vLLM engines of `pools` then demand it. Empty: none."""


class GatewayService(Part):
    """The Service that agents call."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer"] = "ClusterIP"
    """Who can reach it."""
    port: int = Field(8080, ge=1, le=65535)
    """Its port."""
    annotations: Labels = {}
    """For clouds' load balancers."""


class Autoscaling(Part):
    """A HorizontalPodAutoscaler of the gateway."""

    enabled: bool = False
    """Whether there is one; `gateway.replicas` is then ignored."""
    min_replicas: int = Field(2, ge=1)
    """At least so many gateways."""
    max_replicas: int = Field(10, ge=1)
    """At most so many."""
    target_cpu_utilization_percentage: int = Field(70, ge=1, alias="targetCPUUtilizationPercentage")
    """Of the CPU that `gateway.resources` requests."""
    metrics: list[KubernetesObject] = []
    """Further metrics to scale by."""
    behavior: KubernetesObject = {}
    """How fast it scales."""


class DisruptionBudget(Part):
    """How many gateways a drain of nodes may take at a time."""

    enabled: bool = True
    """Whether it is bounded."""
    max_unavailable: int | str | None = 1
    """At most so many away, or a percentage."""
    min_available: int | str | None = None
    """At least so many there, instead of `maxUnavailable`."""


class Gateway(Workload):
    """The gateway."""

    replicas: int = Field(2, ge=0)
    """How many, all the same to clients."""
    image: Image = Image(repository="autellix-gateway")
    """Its image."""
    settings: dict[str, Any] = {}
    """The gateway's own settings by their names, such as `policy: plas`; a change rolls the gateways."""
    resources: KubernetesObject = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    """Requests and limits of the container."""
    topology_spread: Spread = Spread()
    """How gateways keep apart."""
    service: GatewayService = GatewayService()
    """The Service that agents call."""
    service_account: Account = Account()
    """What it watches pools and engines' addresses as."""
    autoscaling: Autoscaling = Autoscaling()
    """Gateways by CPU."""
    pod_disruption_budget: DisruptionBudget = DisruptionBudget()
    """What a drain of nodes may take."""


class Operator(Workload):
    """The operator."""

    replicas: int = Field(1, ge=0, le=2)
    """Two: one works, the other waits."""
    image: Image = Image(repository="autellix-operator")
    """Its image."""
    cluster_wide: bool = False
    """Whether it looks after all namespaces (then by a ClusterRole) instead of its own."""
    settings: dict[str, Any] = {}
    """Its own settings by their names, such as `mirror_after_s: 120`."""
    resources: KubernetesObject = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}}
    """Requests and limits of the container."""
    topology_spread: Spread = Spread()
    """How two operators keep apart."""
    service_account: Account = Account()
    """What it works as."""


class Hooks(Workload):
    """The Jobs, with the operator's image, that apply `pools` after an install or upgrade, and that delete them before
    an uninstall, while the operator can still end them well."""

    enabled: bool = True
    """Off: `pools` are ordinary objects of the release, which takes a cluster that has the CRDs already."""
    timeout_seconds: int = Field(240, ge=10)
    """How long such a Job may take."""
    resources: KubernetesObject = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
    """Requests and limits of the container."""


class Test(Workload):
    """The pod of `helm test`, with the gateway's image: a program of two calls."""

    model: str = ""
    """What it asks for; empty: the first that is served."""
    timeout_seconds: int = Field(300, ge=10)
    """How long it may take, an engine's start from zero included."""
    resources: KubernetesObject = {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}}
    """Requests and limits of the container."""
