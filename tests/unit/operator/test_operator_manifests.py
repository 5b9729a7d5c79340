"""What is made for an EnginePool: names, labels, the engine's command, and what a careful cluster asks of a pod."""

from typing import Any

import pytest

from autellix_operator.engines.manifests import deployment, disruption_budget, service
from autellix_operator.engines.pools import Pool
from operator_pools import pool_body


def pool(**spec: Any) -> Pool:
    body = pool_body(**spec)
    body["metadata"] |= {"uid": "u-1", "generation": 1, "labels": {"app.kubernetes.io/instance": "release"}}
    return Pool(body)


def pod(**spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = deployment(pool(**spec), replicas=2)["spec"]["template"]["spec"]
    return found


def engine(**more: Any) -> dict[str, Any]:
    given = {"kind": "vllm", "image": "i", "imagePullPolicy": "IfNotPresent", "startupSeconds": 600, **more}
    (container,) = pod(engine=given)["containers"]
    found: dict[str, Any] = container
    return found


@pytest.mark.parametrize("body", [deployment(pool(), replicas=3), service(pool()), disruption_budget(pool())])
def test_all_are_of_one_name_belong_to_the_pool_and_go_with_it(body: dict[str, Any]) -> None:
    metadata = body["metadata"]
    assert (metadata["name"], metadata["namespace"]) == ("tiny-engine", "default")
    assert metadata["labels"] == {
        "app.kubernetes.io/name": "autellix",
        "app.kubernetes.io/component": "engine",
        "app.kubernetes.io/instance": "release",
        "app.kubernetes.io/managed-by": "autellix-operator",
        "autellix.dev/pool": "tiny",
    }
    (owner,) = metadata["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == ("EnginePool", "tiny", "u-1", True)


def test_the_selectors_find_the_pods() -> None:
    made = deployment(pool(), replicas=3)
    labels = made["spec"]["template"]["metadata"]["labels"].items()
    budget = disruption_budget(pool())["spec"]["selector"]["matchLabels"]
    for selector in (made["spec"]["selector"]["matchLabels"], service(pool())["spec"]["selector"], budget):
        assert selector.items() <= labels
        assert "app.kubernetes.io/instance" not in selector, "a release may be given another name; a selector may not"


def test_the_service_names_each_ready_engine() -> None:
    spec = service(pool())["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", False)
    assert [(port["name"], port["port"]) for port in spec["ports"]] == [("http", 8000)]


def test_how_vllm_is_started() -> None:
    container = engine(slots=8, args=["--enforce-eager"])
    assert container["command"] == ["python3", "-m", "autellix_engine"]
    assert container["args"] == [
        *("--host", "0.0.0.0", "--port", "8000", "--model", "/models/tiny", "--served-model-name", "tiny"),
        *("--", "--max-num-seqs", "8", "--enforce-eager"),
    ]
    assert "--" not in engine()["args"]


def test_how_a_simulated_engine_is_started() -> None:
    container = engine(kind="sim", slots=4, args=["--seed", "1"])
    assert container["command"] == ["python3", "-m", "autellix_bench"]
    assert container["args"] == [
        *("engine-sim", "--host", "0.0.0.0", "--port", "8000", "--model", "tiny"),
        *("--max-num-seqs", "4", "--seed", "1"),
    ]


@pytest.mark.parametrize("kind", ["vllm", "sim"])
def test_a_pod_ends_only_after_its_calls_or_its_time(kind: str) -> None:
    command = engine(kind=kind)["lifecycle"]["preStop"]["exec"]["command"]
    assert command == ["python3", "-m", "autellix_engine.drained", "--within", "300"]
    assert pod()["terminationGracePeriodSeconds"] == 330


def test_a_pod_passes_the_restricted_standard() -> None:
    security = pod()["securityContext"]
    assert security == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert engine()["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod()["automountServiceAccountToken"] is False
    assert pod(podTemplate={"runAsUser": 7, "fsGroup": 8})["securityContext"] == {
        **security,
        "runAsUser": 7,
        "fsGroup": 8,
    }


def test_it_may_write_where_it_must_and_a_volume_of_the_pools_own_comes_first() -> None:
    assert [mount["mountPath"] for mount in engine()["volumeMounts"]] == ["/cache", "/tmp", "/dev/shm"]
    claim = {"name": "models", "persistentVolumeClaim": {"claimName": "models"}}
    made = pod(podTemplate={"volumes": [claim], "volumeMounts": [{"name": "models", "mountPath": "/cache/"}]})
    assert [volume["name"] for volume in made["volumes"]] == ["models", "autellix-tmp", "autellix-shm"]
    mounts = [(mount["name"], mount["mountPath"]) for mount in made["containers"][0]["volumeMounts"]]
    assert mounts == [("models", "/cache/"), ("autellix-tmp", "/tmp"), ("autellix-shm", "/dev/shm")]


def test_a_model_may_take_its_time_to_load() -> None:
    probe = engine(startupSeconds=602)["startupProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] >= 602
    assert deployment(pool(), replicas=1)["spec"]["progressDeadlineSeconds"] > 1800


def test_a_new_engine_is_there_before_an_old_one_goes_unless_the_pool_says_otherwise() -> None:
    def rolling(**spec: Any) -> Any:
        return deployment(pool(**spec), replicas=1)["spec"]["strategy"]["rollingUpdate"]

    assert rolling() == {"maxUnavailable": 0, "maxSurge": 1}
    other = {"maxUnavailable": "50%", "maxSurge": 0}
    assert rolling(rollingUpdate=other) == other


def test_what_the_pool_says_of_its_pods_is_passed_on() -> None:
    given = {
        "nodeSelector": {"gpu": "h100"},
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "imagePullSecrets": [{"name": "registry"}],
        "priorityClassName": "high",
        "serviceAccountName": "engines",
        "runtimeClassName": "nvidia",
        "topologySpreadConstraints": [],
    }
    made = pod(podTemplate=given, resources={"limits": {"nvidia.com/gpu": 1}})
    assert {name: made[name] for name in given} == given
    assert made["containers"][0]["resources"] == {"limits": {"nvidia.com/gpu": 1}}
    spread = {constraint["whenUnsatisfiable"] for constraint in pod()["topologySpreadConstraints"]}
    assert spread == {"ScheduleAnyway"}
    annotated = deployment(pool(podTemplate={"annotations": {"a": "b"}}), replicas=1)
    assert annotated["spec"]["template"]["metadata"]["annotations"] == {"a": "b"}


@pytest.mark.parametrize(
    ("given", "target"), [({}, 8), ({"slots": 4}, 4), ({"slots": 64}, 8)], ids=["usual", "few-slots", "many-slots"]
)
def test_an_engine_is_to_have_no_more_calls_than_its_batch_holds(given: dict[str, int], target: int) -> None:
    body = pool_body()
    body["spec"]["engine"] |= given
    assert Pool(body).policy.target_calls == target
    body["spec"]["scaling"]["targetCalls"] = 3
    assert Pool(body).policy.target_calls == 3
