"""Who may do what, and who reaches whom."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from autellix_chart.files import ROOT

from autellix_operator.engines.manifests import deployment, service
from autellix_operator.engines.pools import Pool
from chart import Rendered, rendered
from operator_pools import pool_body

OPERATOR = yaml.safe_load((ROOT / "operator/src/autellix_operator/rbac.yaml").read_text())
READ = {"get", "list", "watch"}


def rules(chart: Rendered, kind: str, name: str) -> list[dict[str, Any]]:
    (role,) = (each for each in chart.kind(kind) if each["metadata"]["name"].startswith(name))
    found: list[dict[str, Any]] = role["rules"]
    return found


def test_nothing_is_the_clusters_unless_asked() -> None:
    assert not {each["kind"] for each in rendered().objects} & {"ClusterRole", "ClusterRoleBinding"}


def test_the_operator_may_do_what_it_says_and_no_more() -> None:
    assert rules(rendered(), "Role", "rel-autellix-operator") == OPERATOR["served"] + OPERATOR["own"]


def test_a_cluster_wide_operator_has_its_own_namespaces_rules_in_it_alone() -> None:
    chart = rendered({"operator": {"clusterWide": True}})
    assert rules(chart, "ClusterRole", "rel-autellix-operator") == OPERATOR["served"]
    assert rules(chart, "Role", "rel-autellix-operator") == OPERATOR["own"]
    other = rendered({"operator": {"clusterWide": True}}, namespace="other")
    one, two = (each.kind("ClusterRole")[0]["metadata"]["name"] for each in (chart, other))
    assert one != two


def test_a_gateway_only_reads_pools_and_addresses() -> None:
    given = rules(rendered(), "Role", "rel-autellix-gateway")
    assert {resource for rule in given for resource in rule["resources"]} == {"enginepools", "endpointslices"}
    assert all(set(rule["verbs"]) == READ for rule in given)


@pytest.mark.parametrize("wide", [False, True])
def test_no_rule_has_a_star(wide: bool) -> None:
    chart = rendered({"operator": {"clusterWide": wide}})
    for role in (*chart.kind("Role"), *chart.kind("ClusterRole")):
        for rule in role["rules"]:
            assert "*" not in rule["apiGroups"] + rule["resources"] + rule["verbs"], role["metadata"]["name"]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("created", [True, False])
def test_bindings_join_roles_that_are_there_to_the_accounts_of_the_pods(wide: bool, created: bool) -> None:
    account = {"create": created, "name": "mine"}
    chart = rendered(
        {"operator": {"clusterWide": wide, "serviceAccount": account}, "gateway": {"serviceAccount": account}}
    )
    roles = {(each["kind"], each["metadata"]["name"]) for each in chart.objects if each["kind"].endswith("Role")}
    used = {pod["spec"]["serviceAccountName"] for _, pod in chart.pods()} - {"default"}
    bound = set()
    for binding in (*chart.kind("RoleBinding"), *chart.kind("ClusterRoleBinding")):
        assert (binding["roleRef"]["kind"], binding["roleRef"]["name"]) in roles
        assert all(subject["namespace"] == "apps" for subject in binding["subjects"])
        bound |= {subject["name"] for subject in binding["subjects"]}
    assert bound == used
    made = {each["metadata"]["name"] for each in chart.kind("ServiceAccount")}
    assert made == (used if created else used - {"mine"})


def policy(chart: Rendered, component: str) -> dict[str, Any]:
    spec: dict[str, Any] = chart.one("NetworkPolicy", component)["spec"]
    return spec


def reaches(chart: Rendered, component: str) -> list[dict[str, Any]] | None:
    """The peers that a component lets in; None: everybody."""
    (rule,) = policy(chart, component)["ingress"]
    found: list[dict[str, Any]] | None = rule.get("from")
    return found


def components(peers: list[dict[str, Any]] | None) -> set[str]:
    selectors = [each["podSelector"]["matchLabels"] for each in peers or [] if "podSelector" in each]
    return {each["app.kubernetes.io/component"] for each in selectors}


def test_engines_are_reached_by_gateways_and_prometheus_alone() -> None:
    chart = rendered()
    peers = reaches(chart, "engine")
    assert components(peers) == {"gateway"}
    assert peers is not None
    assert [each for each in peers if "namespaceSelector" in each] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
    ]
    assert policy(chart, "engine")["policyTypes"] == ["Ingress"]
    gateway = dict(chart.pods())["Deployment/rel-autellix-gateway"]["metadata"]["labels"]
    assert peers[0]["podSelector"]["matchLabels"].items() <= gateway.items()


def test_policy_and_monitor_select_what_the_operator_makes_of_a_pool() -> None:
    chart = rendered({"metrics": {"serviceMonitor": {"enabled": True}}})
    body = pool_body()
    pool = Pool({**body, "metadata": {**body["metadata"], "uid": "u"}})
    template, made = deployment(pool, replicas=1)["spec"]["template"], service(pool)
    assert policy(chart, "engine")["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (rule,) = policy(chart, "engine")["ingress"]
    ports = {port["name"] for each in template["spec"]["containers"] for port in each["ports"]}
    assert {port["port"] for port in rule["ports"]} <= ports
    monitor = chart.one("ServiceMonitor", "engine")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= made["metadata"]["labels"].items()
    assert set(monitor["podTargetLabels"]) <= set(template["metadata"]["labels"])
    assert {each["port"] for each in monitor["endpoints"]} <= {port["name"] for port in made["spec"]["ports"]}


def test_redis_is_reached_by_this_releases_gateways_alone() -> None:
    peers = reaches(rendered(), "redis")
    assert components(peers) == {"gateway"}
    assert peers is not None
    assert len(peers) == 1
    assert peers[0]["podSelector"]["matchLabels"]["app.kubernetes.io/instance"] == "rel"


def test_the_gateway_is_open_until_it_is_said_who_calls_it() -> None:
    assert reaches(rendered(), "gateway") is None
    agents = {"namespaceSelector": {"matchLabels": {"agents": "yes"}}}
    peers = reaches(rendered({"networkPolicies": {"gatewayFrom": [agents]}}), "gateway")
    assert peers is not None
    assert agents in peers
    assert components(peers) == {"operator", "test"}


def test_without_prometheus_nobody_reaches_the_operator() -> None:
    chart = rendered({"networkPolicies": {"metricsFrom": []}})
    assert policy(chart, "operator")["ingress"] == []
    assert components(reaches(chart, "engine")) == {"gateway"}


def test_monitors_select_the_services_that_there_are() -> None:
    chart = rendered({"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "p"}, "interval": "30s"}}})
    for component in ("gateway", "operator"):
        monitor, service = chart.one("ServiceMonitor", component), chart.one("Service", component)
        assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
        assert endpoint["interval"] == "30s"
        assert monitor["metadata"]["labels"]["release"] == "p"
    engines = chart.one("ServiceMonitor", "engine")["spec"]
    assert engines["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "autellix",
        "app.kubernetes.io/component": "engine",
    }


def test_what_the_operator_may_do_is_where_the_chart_reads_it() -> None:
    copied = Path(ROOT / "helm/autellix/files/operator-rules.yaml")
    assert yaml.safe_load(copied.read_text()) == OPERATOR
