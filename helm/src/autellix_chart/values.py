"""The chart's values: names, types, defaults and meanings, from which its other files are made."""

from typing import Annotated, Any

from pydantic import Field

from autellix_chart.components import Auth, Gateway, Hooks, Operator, Test
from autellix_chart.parts import Image, KubernetesObject, Labels, Part
from autellix_chart.tables import ExternalRedis, Redis

__all__ = ["Values"]

_Short = Annotated[str, Field(pattern=r"^([a-z]([-a-z0-9]{0,61}[a-z0-9])?)?$")]


class PullSecret(Part):
    """A Secret in the release's namespace."""

    name: str = Field(min_length=1)
    """Its name."""


class EngineImages(Part):
    """Images of engines by kind, for pools that name none."""

    vllm: Image = Image(repository="autellix-engine")
    """vLLM with the adapter."""
    sim: Image = Image(repository="autellix-engine-sim")
    """The simulated engine, which needs no GPU."""


class NetworkPolicies(Part):
    """Who reaches whom. They need a network that enforces them."""

    enabled: bool = True
    """Engines are reached by gateways, Redis by gateways."""
    gateway_from: list[KubernetesObject] = []
    """Peers that may call the gateway; empty: everybody."""
    metrics_from: list[KubernetesObject] = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    """Peers that may read metrics of all components: where Prometheus is."""


class ServiceMonitor(Part):
    """For the Prometheus operator."""

    enabled: bool = False
    """One for gateways, the operator and engines each."""
    interval: str = Field("15s", pattern=r"^[0-9]+(ms|s|m)$")
    """How often they are asked."""
    scrape_timeout: str = Field("", pattern=r"^([0-9]+(ms|s|m))?$")
    """Empty: Prometheus' own."""
    labels: Labels = {}
    """What your Prometheus selects monitors by."""


class Dashboard(Part):
    """For Grafana's sidecar."""

    enabled: bool = False
    """A ConfigMap with the dashboard."""
    labels: Labels = {"grafana_dashboard": "1"}
    """What the sidecar selects by."""
    annotations: Labels = {}
    """Such as its folder."""


class Metrics(Part):
    """What shows them; they are always exported."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """For the Prometheus operator."""
    dashboard: Dashboard = Dashboard()
    """For Grafana's sidecar."""


class Crds(Part):
    """The kinds ProgramSession and EnginePool."""

    install: bool = True
    """Whether this release brings and upgrades them; an uninstall never takes them away."""


class Values(Part):
    """Everything that can be set."""

    name_override: _Short = ""
    """Instead of the chart's name, in what objects are called."""
    fullname_override: _Short = ""
    """What objects are called after, instead of the release."""
    common_labels: Labels = {}
    """On every object and pod."""
    image_registry: str = Field("", pattern=r"^([A-Za-z0-9.-]+(:[0-9]+)?(/[a-z0-9._/-]+)?)?$")
    """Where our images are, unless an image says otherwise, such as `registry.example.com/autellix`."""
    image_pull_secrets: list[PullSecret] = []
    """For all pods, those of `pools` too."""
    auth: Auth = Auth()
    """Keys of gateway and operator, kept in one Secret."""
    gateway: Gateway = Gateway()
    """The gateway."""
    operator: Operator = Operator()
    """The operator."""
    redis: Redis = Redis()
    """The bundled Redis."""
    external_redis: ExternalRedis = ExternalRedis()
    """A Redis of yours; takes `redis.enabled: false`."""
    engine_images: EngineImages = EngineImages()
    """Images of engines by kind, for pools that name none."""
    pools: dict[str, Any] = {}
    """Pools of engines: a name, and the `spec` of an EnginePool (`kubectl explain enginepool.spec`)."""
    hooks: Hooks = Hooks()
    """The Jobs that apply `pools` and clear up."""
    network_policies: NetworkPolicies = NetworkPolicies()
    """Who reaches whom."""
    metrics: Metrics = Metrics()
    """What shows them; they are always exported."""
    crds: Crds = Crds()
    """The kinds ProgramSession and EnginePool."""
    test: Test = Test()
    """The pod of `helm test`."""
