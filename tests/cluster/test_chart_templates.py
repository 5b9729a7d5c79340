"""What the chart renders: which objects there are, what they are called, and that they fit together."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from autellix_gateway.settings import Settings
from chart import Rendered, pod_of, rendered

LONG = "a-release-whose-name-is-as-long-as-helm-allows-it-53c"
SELECTORS = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}
EVERYTHING: dict[str, Any] = {
    "commonLabels": {"team": "agents"},
    "imageRegistry": "registry.example.com/autellix",
    "imagePullSecrets": [{"name": "pull"}],
    "auth": {"apiKeys": ["one", "two"], "engineKey": "engines"},
    "gateway": {
        "autoscaling": {"enabled": True},
        "settings": {"policy": "plas", "shutdown_s": 60.5},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "spot", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "high",
        "podAnnotations": {"note": "x"},
        "podLabels": {"mesh": "off"},
        "extraEnv": [{"name": "TZ", "value": "UTC"}],
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
    },
    "operator": {"replicas": 2, "clusterWide": True, "settings": {"mirror_after_s": 10}},
    "metrics": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboard": {"enabled": True},
    },
    "networkPolicies": {"gatewayFrom": [{"namespaceSelector": {}}]},
    "pools": {
        "one": {"model": {"name": "m", "source": "m"}},
        "two": {"model": {"name": "n"}, "engine": {"kind": "sim"}},
    },
}
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "everything": EVERYTHING,
    "external": {"redis": {"enabled": False}, "externalRedis": {"host": "redis.example.com"}},
    "plain": {"hooks": {"enabled": False}, "pools": EVERYTHING["pools"], "redis": {"persistence": {"enabled": False}}},
}


@pytest.fixture(params=list(VARIANTS.values()), ids=list(VARIANTS))
def chart(request: pytest.FixtureRequest) -> Rendered:
    return rendered(request.param)


def containers(pod: dict[str, Any]) -> list[dict[str, Any]]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def names(chart: Rendered) -> set[str]:
    return {f"{each['kind']}/{each['metadata']['name']}" for each in chart.objects}


def test_a_bare_install_has_gateway_operator_and_redis_and_no_engine() -> None:
    assert names(rendered()) == {
        "ConfigMap/rel-autellix-gateway",
        "ConfigMap/rel-autellix-pools",
        "ConfigMap/rel-autellix-redis",
        "CustomResourceDefinition/enginepools.autellix.dev",
        "CustomResourceDefinition/programsessions.autellix.dev",
        "Deployment/rel-autellix-gateway",
        "Deployment/rel-autellix-operator",
        "Job/rel-autellix-pools-clear",
        "NetworkPolicy/rel-autellix-engine",
        "NetworkPolicy/rel-autellix-gateway",
        "NetworkPolicy/rel-autellix-operator",
        "NetworkPolicy/rel-autellix-redis",
        "Pod/rel-autellix-test",
        "PodDisruptionBudget/rel-autellix-gateway",
        "Role/rel-autellix-gateway",
        "Role/rel-autellix-operator",
        "Role/rel-autellix-pools",
        "RoleBinding/rel-autellix-gateway",
        "RoleBinding/rel-autellix-operator",
        "RoleBinding/rel-autellix-pools",
        "Secret/rel-autellix-keys",
        "Secret/rel-autellix-redis",
        "Service/rel-autellix-gateway",
        "Service/rel-autellix-operator",
        "Service/rel-autellix-redis",
        "ServiceAccount/rel-autellix-gateway",
        "ServiceAccount/rel-autellix-operator",
        "ServiceAccount/rel-autellix-pools",
        "StatefulSet/rel-autellix-redis",
    }


@pytest.mark.parametrize(
    ("values", "gone"),
    [
        (VARIANTS["external"], {"StatefulSet", "Secret/rel-autellix-redis", "Service/rel-autellix-redis"}),
        ({"crds": {"install": False}}, {"CustomResourceDefinition"}),
        ({"networkPolicies": {"enabled": False}}, {"NetworkPolicy"}),
        ({"hooks": {"enabled": False}}, {"Job", "Role/rel-autellix-pools", "ConfigMap/rel-autellix-pools"}),
        ({"gateway": {"podDisruptionBudget": {"enabled": False}}}, {"PodDisruptionBudget"}),
        ({"auth": {"existingSecret": "mine"}}, {"Secret/rel-autellix-keys"}),
        ({"redis": {"auth": {"existingSecret": "mine"}}}, {"Secret/rel-autellix-redis"}),
        ({"gateway": {"serviceAccount": {"create": False}}}, {"ServiceAccount/rel-autellix-gateway"}),
        ({"operator": {"serviceAccount": {"create": False}}}, {"ServiceAccount/rel-autellix-operator"}),
    ],
    ids=lambda given: ",".join(given),
)
def test_a_part_that_is_off_leaves_no_object(values: dict[str, Any], gone: set[str]) -> None:
    left = names(rendered(values))
    assert not {each for each in left if each in gone or each.split("/")[0] in gone}
    assert {each for each in names(rendered()) if each in gone or each.split("/")[0] in gone}


@pytest.mark.parametrize(
    ("values", "added"),
    [
        ({"gateway": {"autoscaling": {"enabled": True}}}, {"HorizontalPodAutoscaler/rel-autellix-gateway"}),
        (
            {"metrics": {"serviceMonitor": {"enabled": True}}},
            {f"ServiceMonitor/rel-autellix-{part}" for part in ("gateway", "operator", "engine")},
        ),
        ({"metrics": {"dashboard": {"enabled": True}}}, {"ConfigMap/rel-autellix-dashboard"}),
        ({"pools": {"a": {"model": {"name": "m", "source": "m"}}}}, {"Job/rel-autellix-pools-apply"}),
    ],
    ids=lambda given: ",".join(given),
)
def test_a_part_that_is_on_adds_its_objects_alone(values: dict[str, Any], added: set[str]) -> None:
    assert names(rendered(values)) - names(rendered()) == added


@pytest.mark.parametrize(
    ("release", "values", "expected"),
    [
        ("autellix", {}, "autellix-gateway"),
        ("my-autellix", {}, "my-autellix-gateway"),
        ("prod", {}, "prod-autellix-gateway"),
        ("prod", {"nameOverride": "llm"}, "prod-llm-gateway"),
        ("prod", {"fullnameOverride": "llm"}, "llm-gateway"),
    ],
)
def test_objects_are_called_after_the_release(release: str, values: dict[str, Any], expected: str) -> None:
    assert rendered(values, release=release).one("Deployment", "gateway")["metadata"]["name"] == expected


@pytest.mark.parametrize(
    "values", [{}, EVERYTHING, {"fullnameOverride": "x" * 63}], ids=["bare", "everything", "given"]
)
def test_no_name_or_label_is_too_long(values: dict[str, Any]) -> None:
    for each in rendered(values, release=LONG, namespace="n" * 63).objects:
        assert len(each["metadata"]["name"]) <= 63
        assert all(len(value) <= 63 for value in each["metadata"].get("labels", {}).values()), each["metadata"]
        if each["kind"] == "StatefulSet":  # its pods carry NAME-HASH as a label
            assert len(each["metadata"]["name"]) <= 52


def test_two_long_releases_have_names_of_their_own() -> None:
    one, other = (rendered(release=LONG[:-1] + end).one("Service", "gateway") for end in "ab")
    assert one["metadata"]["name"] != other["metadata"]["name"]


def test_every_object_says_what_it_belongs_to(chart: Rendered) -> None:
    for each in chart.objects:
        if each["kind"] != "CustomResourceDefinition":
            labels = each["metadata"]["labels"]
            assert labels["app.kubernetes.io/name"] == "autellix"
            assert labels["app.kubernetes.io/instance"] == "rel"
            assert labels["app.kubernetes.io/managed-by"] == "Helm"
            assert labels["app.kubernetes.io/component"]
        if each["kind"] not in ("CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"):
            assert each["metadata"]["namespace"] == "apps"


def test_no_two_objects_are_one(chart: Rendered) -> None:
    assert len(names(chart)) == len(chart.objects)


def test_common_labels_are_on_objects_and_pods_and_on_no_selector() -> None:
    chart = rendered(EVERYTHING)
    for each in chart.objects:
        if each["kind"] != "CustomResourceDefinition":
            assert each["metadata"]["labels"]["team"] == "agents"
        pod = pod_of(each)
        if pod is not None:
            assert pod["metadata"]["labels"]["team"] == "agents"
        if each["kind"] in ("Deployment", "StatefulSet"):
            assert set(each["spec"]["selector"]["matchLabels"]) == SELECTORS


def test_common_labels_change_no_label_of_ours() -> None:
    chart = rendered({"commonLabels": {"app.kubernetes.io/component": "mine"}})
    assert chart.one("Deployment", "gateway")["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"


def test_pods_pass_the_restricted_standard(chart: Rendered) -> None:
    pods = list(chart.pods())
    assert pods
    for whose, pod in pods:
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True, whose
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, whose
        assert spec["securityContext"].get("runAsUser", 1) != 0, whose
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), whose
        allowed = {"configMap", "secret", "emptyDir", "persistentVolumeClaim", "projected"}
        assert all(set(volume) - {"name"} <= allowed for volume in spec.get("volumes", [])), whose
        for container in containers(pod):
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, whose
            assert context["capabilities"] == {"drop": ["ALL"]}, whose
            assert context["readOnlyRootFilesystem"] is True, whose
            assert not any("hostPort" in port for port in container.get("ports", [])), whose


def test_every_container_asks_for_something_and_has_a_bound(chart: Rendered) -> None:
    for whose, pod in chart.pods():
        for container in containers(pod):
            assert container["resources"]["requests"], whose
            assert container["resources"]["limits"]["memory"], whose


def test_no_pod_reads_variables_of_services(chart: Rendered) -> None:
    # A Service called autellix-... would otherwise set AUTELLIX_..._PORT, which is how settings are called.
    assert all(pod["spec"]["enableServiceLinks"] is False for _, pod in chart.pods())


def test_only_those_who_ask_the_api_server_have_a_token(chart: Rendered) -> None:
    for whose, pod in chart.pods():
        wanted = any(part in whose for part in ("-gateway", "-operator", "-pools-"))
        assert pod["spec"]["automountServiceAccountToken"] is wanted, whose
        assert (pod["spec"]["serviceAccountName"] != "default") is wanted, whose


def selectors(chart: Rendered) -> Iterator[tuple[str, dict[str, str]]]:
    for each in chart.objects:
        spec, kind = each.get("spec", {}), each["kind"]
        if kind in ("Deployment", "StatefulSet", "PodDisruptionBudget"):
            yield kind, spec["selector"]["matchLabels"]
        elif kind == "Service":
            yield kind, spec["selector"]
        elif kind == "NetworkPolicy":
            yield kind, spec["podSelector"]["matchLabels"]


def test_every_selector_selects_pods_of_one_component(chart: Rendered) -> None:
    labelled = [pod["metadata"]["labels"] for _, pod in chart.pods()]
    for kind, wanted in selectors(chart):
        if wanted["app.kubernetes.io/component"] == "engine":
            continue
        matching = [labels for labels in labelled if wanted.items() <= labels.items()]
        assert len(matching) == 1, (kind, wanted)


def test_services_and_policies_name_ports_that_there_are(chart: Rendered) -> None:
    ports = {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: {
            port["name"] for container in containers(pod) for port in container.get("ports", [])
        }
        for _, pod in chart.pods()
    } | {"engine": {"http"}}
    for service in chart.kind("Service"):
        component = service["spec"]["selector"]["app.kubernetes.io/component"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports[component]
    for policy in chart.kind("NetworkPolicy"):
        component = policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]
        named = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert named <= ports[component]
    for whose, pod in chart.pods():
        for container in containers(pod):
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                if "httpGet" in container.get(probe, {}):
                    assert container[probe]["httpGet"]["port"] in {port["name"] for port in container["ports"]}, whose


def test_what_is_mounted_is_a_volume_and_what_is_referred_to_is_there(chart: Rendered) -> None:
    there = names(chart)
    for whose, pod in chart.pods():
        volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", [])}
        claimed = {"data"} if whose.startswith("StatefulSet") else set()
        mounted = {mount["name"] for each in containers(pod) for mount in each.get("volumeMounts", [])}
        assert mounted == set(volumes) | (mounted & claimed), whose
        for volume in volumes.values():
            if "configMap" in volume:
                assert f"ConfigMap/{volume['configMap']['name']}" in there, whose
        for each in containers(pod):
            for variable in each.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and not reference.get("optional"):
                    (secret,) = (one for one in chart.kind("Secret") if one["metadata"]["name"] == reference["name"])
                    assert reference["key"] in secret["data"], whose


def test_images_are_where_the_values_say() -> None:
    digest = "sha256:" + "a" * 64
    chart = rendered(
        {
            "imageRegistry": "registry.example.com/autellix",
            "imagePullSecrets": [{"name": "pull"}],
            "gateway": {"image": {"tag": "1.2.3", "pullPolicy": "Always"}},
            "operator": {"image": {"registry": "other.example.com", "repository": "op", "digest": digest}},
            "redis": {"image": {"registry": "", "repository": "localhost/redis", "tag": "7"}},
        }
    )
    images = {
        part: pod_of(chart.one(kind, part))["spec"]["containers"][0]  # type: ignore[index]
        for kind, part in (("Deployment", "gateway"), ("Deployment", "operator"), ("StatefulSet", "redis"))
    }
    assert images["gateway"]["image"] == "registry.example.com/autellix/autellix-gateway:1.2.3"
    assert images["gateway"]["imagePullPolicy"] == "Always"
    assert images["operator"]["image"] == f"other.example.com/op@{digest}"
    assert images["redis"]["image"] == "localhost/redis:7"
    assert all(pod["spec"]["imagePullSecrets"] == [{"name": "pull"}] for _, pod in chart.pods())


def test_a_components_own_wishes_reach_its_pods() -> None:
    gateway = EVERYTHING["gateway"]
    pod = pod_of(rendered(EVERYTHING).one("Deployment", "gateway"))
    assert pod is not None
    spec, container = pod["spec"], pod["spec"]["containers"][0]
    for name in ("nodeSelector", "tolerations", "affinity", "priorityClassName"):
        assert spec[name] == gateway[name]
    assert pod["metadata"]["annotations"]["note"] == "x"
    assert pod["metadata"]["labels"]["mesh"] == "off"
    assert gateway["extraEnv"][0] in container["env"]
    assert gateway["extraVolumes"][0] in spec["volumes"]
    assert gateway["extraVolumeMounts"][0] in container["volumeMounts"]


@pytest.mark.parametrize("component", ["gateway", "operator"])
def test_replicas_keep_apart(component: str) -> None:
    deployment = rendered().one("Deployment", component)
    constraints = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    assert [each["topologyKey"] for each in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]
    for each in constraints:
        assert each["labelSelector"]["matchLabels"] == deployment["spec"]["selector"]["matchLabels"]
    off = rendered({component: {"topologySpread": {"enabled": False}}}).one("Deployment", component)
    assert "topologySpreadConstraints" not in off["spec"]["template"]["spec"]


def test_an_autoscaler_is_the_only_one_to_say_how_many_gateways_there_are() -> None:
    assert rendered().one("Deployment", "gateway")["spec"]["replicas"] == 2
    chart = rendered({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 3, "maxReplicas": 7}}})
    deployment, scaler = chart.one("Deployment", "gateway"), chart.one("HorizontalPodAutoscaler", "gateway")
    assert "replicas" not in deployment["spec"]
    assert scaler["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 7)
    requests = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert "cpu" in requests, "a share of the CPU is of what is requested"


def test_gateways_are_rolled_one_by_one_without_one_less() -> None:
    strategy = rendered().one("Deployment", "gateway")["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("settings", [{}, {"shutdown_s": 60.5}, {"shutdown_s": 0}], ids=str)
def test_a_gateway_has_time_for_its_calls_to_end(settings: dict[str, float]) -> None:
    chart = rendered({"gateway": {"settings": settings}})
    given = yaml.safe_load(chart.one("ConfigMap", "gateway")["data"]["gateway.yaml"])
    calls_s = given.get("shutdown_s", Settings.model_fields["shutdown_s"].default)
    spec = chart.one("Deployment", "gateway")["spec"]["template"]["spec"]
    assert given["drain_delay_s"] > 0
    assert spec["terminationGracePeriodSeconds"] >= given["drain_delay_s"] + calls_s + 5


def test_a_gateway_without_an_engine_is_reached() -> None:
    # Else an install that waits for its pods would wait for ever, and nobody would tell the operator of held calls.
    (container,) = rendered().one("Deployment", "gateway")["spec"]["template"]["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/healthz"
