"""What the chart tells the programs that it starts: settings that they accept, keys, and where Redis is."""

import base64
from typing import Any

import pytest
import yaml
from autellix_chart.schema import OWN_GATEWAY_SETTINGS
from redis.asyncio.connection import parse_url

from autellix_gateway.settings import Settings
from autellix_operator.settings import Settings as OperatorSettings
from chart import Rendered, pod_of, rendered


def settings(chart: Rendered) -> dict[str, Any]:
    given: dict[str, Any] = yaml.safe_load(chart.one("ConfigMap", "gateway")["data"]["gateway.yaml"])
    return given


def pod(chart: Rendered, component: str) -> dict[str, Any]:
    kind = "StatefulSet" if component == "redis" else "Deployment"
    found = pod_of(chart.one(kind, component))
    assert found is not None
    return found


def variables(chart: Rendered, component: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in pod(chart, component)["spec"]["containers"][0]["env"]}


def secret(chart: Rendered, name: str) -> dict[str, str]:
    (found,) = (each for each in chart.kind("Secret") if each["metadata"]["name"] == name)
    return {key: base64.b64decode(value).decode() for key, value in found["data"].items()}


def test_the_gateway_accepts_its_settings() -> None:
    given = settings(rendered({"gateway": {"settings": {"policy": "plas", "levels": 4, "session_headers": ["x-a"]}}}))
    accepted = Settings(**given)
    assert (accepted.host, accepted.port) == ("0.0.0.0", 8080)
    assert (accepted.policy.value, accepted.levels, accepted.session_headers) == ("plas", 4, ("x-a",))
    assert (accepted.kubernetes_namespace, accepted.drain_delay_s) == ("apps", 5.0)


def test_releases_that_share_a_redis_have_tables_of_their_own() -> None:
    places = [("rel", "apps"), ("rel", "other"), ("rel2", "apps")]
    tables = {settings(rendered(release=name, namespace=where))["pool"] for name, where in places}
    assert len(tables) == 3
    assert settings(rendered({"gateway": {"settings": {"pool": "mine"}}}))["pool"] == "mine"
    long = settings(rendered(release="r" * 53, namespace="n" * 63))
    assert Settings(engines=("http://127.0.0.1:8000",), pool=long["pool"]).pool == long["pool"]


def annotations(component: str, values: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = pod(rendered(values), component)["metadata"]["annotations"]
    return found


@pytest.mark.parametrize(
    ("component", "values"),
    [
        ("gateway", {"gateway": {"settings": {"policy": "plas"}}}),
        ("gateway", {"auth": {"apiKeys": ["one"]}}),
        ("operator", {"auth": {"operatorKey": "one"}}),
        ("redis", {"redis": {"maxmemory": "1gb"}}),
    ],
)
def test_pods_are_rolled_when_what_they_read_at_start_changes(component: str, values: dict[str, Any]) -> None:
    assert annotations(component, values) != annotations(component, {})


@pytest.mark.parametrize("component", ["gateway", "operator", "redis"])
def test_pods_are_left_alone_by_a_change_elsewhere(component: str) -> None:
    values = {"test": {"model": "m"}, "metrics": {"dashboard": {"enabled": True}}, "gateway": {"replicas": 5}}
    before, after = pod(rendered(), component), pod(rendered(values, upgrade=True), component)
    assert before == after


def test_keys_are_long_and_of_their_own() -> None:
    keys = secret(rendered(), "rel-autellix-keys")
    assert set(keys) == {"session-secret", "operator-key"}
    assert all(len(each) >= 32 and each.isalnum() for each in keys.values())
    assert len(set(keys.values())) == 2


def test_keys_that_are_given_are_used() -> None:
    auth = {"sessionSecrets": ["new", "old"], "operatorKey": "op", "apiKeys": ["a", "b"], "engineKey": "en"}
    assert secret(rendered({"auth": auth}), "rel-autellix-keys") == {
        "session-secret": "new,old",
        "operator-key": "op",
        "api-keys": "a,b",
        "engine-key": "en",
    }


def test_gateway_and_operator_are_given_one_operator_key() -> None:
    chart = rendered({"auth": {"existingSecret": "mine"}})
    one, other = (variables(chart, part)["AUTELLIX_OPERATOR_KEY"] for part in ("gateway", "operator"))
    assert one == other
    assert one["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "operator-key"}


def test_every_secret_is_a_reference_and_every_variable_a_setting() -> None:
    given = variables(rendered(), "gateway")
    for name, setting in (
        ("AUTELLIX_REDIS_PASSWORD", "redis_password"),
        ("AUTELLIX_SESSION_SECRET", "session_secrets"),
        ("AUTELLIX_OPERATOR_KEY", "operator_key"),
        ("AUTELLIX_API_KEYS", "api_keys"),
        ("AUTELLIX_ENGINE_API_KEY", "engine_api_key"),
    ):
        assert "secretKeyRef" in given[name]["valueFrom"]
        assert setting in OWN_GATEWAY_SETTINGS
    assert set(given) - {"AUTELLIX_REDIS_URL"} == {
        name for name, each in given.items() if "secretKeyRef" in each.get("valueFrom", {})
    }


def test_the_bundled_redis_is_where_the_gateway_looks() -> None:
    chart = rendered()
    url = variables(chart, "gateway")["AUTELLIX_REDIS_URL"]["value"]
    service = chart.one("Service", "redis")
    assert parse_url(url)["host"] == f"{service['metadata']['name']}.apps.svc"
    assert parse_url(url)["port"] == service["spec"]["ports"][0]["port"]
    password = variables(chart, "gateway")["AUTELLIX_REDIS_PASSWORD"]["valueFrom"]
    assert password == variables(chart, "redis")["REDISCLI_AUTH"]["valueFrom"]


def test_redis_never_evicts_and_keeps_a_log_with_a_claim_and_without() -> None:
    kept = rendered()
    conf = kept.one("ConfigMap", "redis")["data"]["redis.conf"]
    assert "maxmemory-policy noeviction" in conf
    assert "appendonly yes" in conf
    assert "maxmemory 1gb" in rendered({"redis": {"maxmemory": "1gb"}}).one("ConfigMap", "redis")["data"]["redis.conf"]
    claims = kept.one("StatefulSet", "redis")["spec"]["volumeClaimTemplates"]
    assert claims[0]["spec"]["resources"]["requests"]["storage"] == "2Gi"
    forgetful = rendered({"redis": {"persistence": {"enabled": False}}})
    assert "appendonly yes" in forgetful.one("ConfigMap", "redis")["data"]["redis.conf"]
    assert "volumeClaimTemplates" not in forgetful.one("StatefulSet", "redis")["spec"]
    volumes = pod(forgetful, "redis")["spec"]["volumes"]
    assert {"name": "data", "emptyDir": {}} in volumes


def test_a_claim_of_ones_own_is_mounted_and_none_is_made() -> None:
    chart = rendered({"redis": {"persistence": {"existingClaim": "mine", "storageClass": "x"}}})
    assert "volumeClaimTemplates" not in chart.one("StatefulSet", "redis")["spec"]
    claim = {"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}
    assert claim in pod(chart, "redis")["spec"]["volumes"]


def test_redis_claims_outlive_the_release_unless_asked() -> None:
    policy = rendered().one("StatefulSet", "redis")["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert policy == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    gone = rendered({"redis": {"persistence": {"whenDeleted": "Delete"}}}).one("StatefulSet", "redis")
    assert gone["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] == "Delete"


def test_what_cannot_be_changed_of_a_statefulset_does_not_change_with_the_chart() -> None:
    spec = rendered({"commonLabels": {"a": "b"}}).one("StatefulSet", "redis")["spec"]
    plain = rendered().one("StatefulSet", "redis")["spec"]
    assert spec["volumeClaimTemplates"] == plain["volumeClaimTemplates"]
    assert "helm.sh/chart" not in spec["volumeClaimTemplates"][0]["metadata"]["labels"]


def external(**given: Any) -> Rendered:
    return rendered({"redis": {"enabled": False}, "externalRedis": given})


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({"host": "r.example.com"}, "redis://r.example.com:6379/0"),
        ({"host": "r", "port": 6380, "database": 3, "username": "a@b"}, "redis://a%40b@r:6380/3"),
        ({"host": "r", "tls": {"enabled": True}}, "rediss://r:6379/0"),
        (
            {"host": "r", "tls": {"enabled": True, "caSecret": "ca"}},
            "rediss://r:6379/0?ssl_ca_certs=/etc/autellix/redis-ca/ca.crt",
        ),
        ({"url": "rediss://r:1/2"}, "rediss://r:1/2"),
        (
            {"url": "rediss://r:1/2?protocol=3", "tls": {"caSecret": "ca"}},
            "rediss://r:1/2?protocol=3&ssl_ca_certs=/etc/autellix/redis-ca/ca.crt",
        ),
    ],
)
def test_an_external_redis_is_given_by_parts_or_by_url(given: dict[str, Any], url: str) -> None:
    chart = external(**given)
    assert variables(chart, "gateway")["AUTELLIX_REDIS_URL"]["value"] == url
    assert "AUTELLIX_REDIS_PASSWORD" not in variables(chart, "gateway")
    read: dict[str, Any] = {**parse_url(url)}
    if given.get("username"):
        assert read["username"] == given["username"]
    if "caSecret" in given.get("tls", {}):
        assert read["ssl_ca_certs"] == "/etc/autellix/redis-ca/ca.crt"


def test_an_external_redis_password_is_a_reference() -> None:
    given = variables(external(host="r", existingSecret="mine", passwordKey="pw"), "gateway")
    assert given["AUTELLIX_REDIS_PASSWORD"]["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "pw"}


def test_an_external_redis_may_be_a_url_in_a_secret() -> None:
    given = variables(external(existingSecret="mine", urlKey="url"), "gateway")
    assert given["AUTELLIX_REDIS_URL"]["valueFrom"]["secretKeyRef"] == {"name": "mine", "key": "url"}
    assert "AUTELLIX_REDIS_PASSWORD" not in given


def test_an_external_redis_authority_is_mounted_under_one_name() -> None:
    spec = pod(external(host="r", tls={"enabled": True, "caSecret": "ca", "caKey": "root.pem"}), "gateway")["spec"]
    (volume,) = (each for each in spec["volumes"] if each["name"] == "redis-ca")
    assert volume["secret"] == {"secretName": "ca", "items": [{"key": "root.pem", "path": "ca.crt"}]}
    (mount,) = (each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "redis-ca")
    assert mount["mountPath"] == "/etc/autellix/redis-ca"


def test_the_operator_accepts_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"mirror_at_most": 1_000_000, "session_url": "https://llm.example.com/v1", "poll_interval_s": 0.5}
    for name, each in variables(rendered({"operator": {"settings": given}}), "operator").items():
        monkeypatch.setenv(name, each.get("value", "key"))
    accepted = OperatorSettings()
    assert {name: getattr(accepted, name) for name in given} == given
    assert accepted.served == ("apps",)
    assert accepted.lease_name == "rel-autellix-operator"
    assert accepted.key is not None


@pytest.mark.parametrize(("wide", "namespaces"), [(False, "apps"), (True, "*")])
def test_the_operator_looks_after_its_namespace_unless_asked(wide: bool, namespaces: str) -> None:
    chart = rendered({"operator": {"clusterWide": wide, "settings": {"mirror_after_s": 10}}})
    given = {name: each.get("value") for name, each in variables(chart, "operator").items()}
    assert given["AUTELLIX_OPERATOR_NAMESPACES"] == namespaces
    assert given["AUTELLIX_OPERATOR_MIRROR_AFTER_S"] == "10"
    service = chart.one("Service", "gateway")
    assert given["AUTELLIX_OPERATOR_GATEWAY_URL"] == f"http://{service['metadata']['name']}.apps.svc:8080"


def test_a_gateway_service_on_another_port_is_found_by_all() -> None:
    chart = rendered({"gateway": {"service": {"port": 80}}})
    assert variables(chart, "operator")["AUTELLIX_OPERATOR_GATEWAY_URL"]["value"].endswith(".svc:80")
    (test,) = chart.kind("Pod")
    (url,) = (each["value"] for each in test["spec"]["containers"][0]["env"] if each["name"] == "AUTELLIX_BASE_URL")
    assert url == "http://rel-autellix-gateway.apps.svc:80/v1"
