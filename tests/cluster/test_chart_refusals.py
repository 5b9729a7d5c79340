"""Values that cannot work are refused before anything is installed, with a sentence or the place that is wrong."""

from typing import Any

import pytest

from chart import Refused, rendered

POOL: dict[str, Any] = {"model": {"name": "m", "source": "m"}}


def pool(**changes: Any) -> dict[str, Any]:
    return {"pools": {"a": {**POOL, **changes}}}


def external(**given: Any) -> dict[str, Any]:
    return {"redis": {"enabled": False}, "externalRedis": given}


SCHEMA: list[tuple[dict[str, Any], str]] = [
    ({"gatway": {}}, "gatway"),
    ({"gateway": {"replica": 3}}, "replica"),
    ({"gateway": {"replicas": "two"}}, "replicas"),
    ({"gateway": {"replicas": -1}}, "replicas"),
    ({"gateway": {"settings": {"polcy": "plas"}}}, "polcy"),
    ({"gateway": {"settings": {"policy": "best"}}}, "policy"),
    ({"gateway": {"settings": {"levels": 0}}}, "levels"),
    ({"gateway": {"settings": {"redis_url": "redis://elsewhere"}}}, "redis_url"),
    ({"gateway": {"settings": {"session_secrets": ["x"]}}}, "session_secrets"),
    ({"gateway": {"image": {"repository": "Not A Name"}}}, "repository"),
    ({"gateway": {"image": {"digest": "sha256:short"}}}, "digest"),
    ({"gateway": {"image": {"pullPolicy": "Sometimes"}}}, "pullPolicy"),
    ({"gateway": {"service": {"port": 70000}}}, "port"),
    ({"gateway": {"service": {"type": "Ingress"}}}, "type"),
    ({"gateway": {"settings": {"shutdown_s": -1}}}, "shutdown_s"),
    ({"operator": {"replicas": 3}}, "replicas"),
    ({"operator": {"clusterWide": "yes"}}, "clusterWide"),
    ({"operator": {"settings": {"key": "x"}}}, "key"),
    ({"operator": {"settings": {"poll_interval_s": 0}}}, "poll_interval_s"),
    ({"redis": {"persistence": {"size": "much"}}}, "size"),
    ({"redis": {"persistence": {"whenDeleted": "Ask"}}}, "whenDeleted"),
    ({"redis": {"maxmemory": "1 GiB"}}, "maxmemory"),
    (external(url="http://r"), "url"),
    (external(host="r", tls={"enable": True}), "enable"),
    ({"auth": {"apiKeys": ["a,b"]}}, "apiKeys"),
    ({"imagePullSecrets": ["pull"]}, "imagePullSecrets"),
    ({"fullnameOverride": "Not-a-label"}, "fullnameOverride"),
    ({"metrics": {"serviceMonitor": {"interval": "often"}}}, "interval"),
    ({"commonLabels": {"a": 1}}, "commonLabels"),
    ({"pools": {"Upper": POOL}}, "Upper"),
    ({"pools": {"a": {"engine": {"kind": "sim"}}}}, "model"),
    (pool(engine={"kind": "tgi"}), "kind"),
    (pool(engine={"slot": 8}), "slot"),
    (pool(scaling={"mode": "Sometimes"}), "mode"),
    (pool(scaling={"maxReplicas": -1}), "maxReplicas"),
    (pool(model={"name": ""}), "name"),
    (pool(hold={"seconds": "long"}), "seconds"),
]

SENTENCES: list[tuple[dict[str, Any], str]] = [
    ({"externalRedis": {"host": "r"}}, "set redis.enabled=false to use the external one"),
    (external(), "no Redis is given"),
    (external(host="r", url="redis://r"), "leave one of them empty"),
    (external(urlKey="url"), "name the Secret that holds it"),
    (external(urlKey="url", existingSecret="s", host="r"), "leave externalRedis.url and externalRedis.host empty"),
    (external(url="redis://r", tls={"enabled": True}), "does not begin with rediss://"),
    (external(host="r", tls={"caSecret": "ca"}), "set externalRedis.tls.enabled=true"),
    ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 2}}}, "is more than"),
    ({"gateway": {"podDisruptionBudget": {"minAvailable": 1}}}, "set the other one to null"),
    ({"pools": {"p" * 57: POOL}}, "longer than 56 characters"),
    (pool(scaling={"minReplicas": 3, "maxReplicas": 2}), "pools.a.scaling.minReplicas (3) is more than"),
    (pool(model={"name": "m"}), "pools.a.model.source"),
]


@pytest.mark.parametrize(("values", "named"), SCHEMA, ids=[named for _, named in SCHEMA])
def test_the_schema_refuses_and_names_the_place(values: dict[str, Any], named: str) -> None:
    with pytest.raises(Refused) as refused:
        rendered(values)
    assert "values don't meet the specifications of the schema" in str(refused.value)
    assert named in str(refused.value)


@pytest.mark.parametrize(("values", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_what_a_schema_cannot_say_is_refused_with_a_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        rendered(values)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        {"global": {"anything": 1}},
        {"gateway": {"podDisruptionBudget": {"minAvailable": "50%", "maxUnavailable": None}}},
        {"gateway": {"settings": {"overflow_calls": 8, "session_headers": ["x-a", "x-b"]}}},
        pool(resources={"limits": {"nvidia.com/gpu": 1, "memory": "16Gi"}}),
        pool(podTemplate={"affinity": {"nodeAffinity": {"x": {}}}, "volumes": [{"name": "v", "emptyDir": {}}]}),
        pool(engine={"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
        external(host="10.0.0.1", existingSecret="s", tls={"enabled": True, "caSecret": "ca"}),
    ],
    ids=str,
)
def test_values_that_work_are_not_refused(values: dict[str, Any]) -> None:
    assert rendered(values).objects
