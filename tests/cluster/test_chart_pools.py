"""Pools in the values: the EnginePools that they become, by a Job or as objects of the release."""

import json
from typing import Any

import pytest
import yaml
from autellix_chart.files import CHART, ROOT

from chart import Rendered, rendered

VLLM: dict[str, Any] = {"model": {"name": "m", "source": "org/m"}}
SIM: dict[str, Any] = {"model": {"name": "n"}, "engine": {"kind": "sim"}}


def applied(chart: Rendered) -> dict[str, dict[str, Any]]:
    """What the Job applies, by name."""
    pools = json.loads(chart.one("ConfigMap", "pools")["data"]["pools.json"])
    return {pool["metadata"]["name"]: pool for pool in pools}


def pools(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return applied(rendered(values))


def test_a_job_applies_the_same_as_the_release_would_hold() -> None:
    values: dict[str, Any] = {"pools": {"a": VLLM, "b": SIM}}
    plain = rendered({**values, "hooks": {"enabled": False}})
    held = {each["metadata"]["name"]: each for each in plain.kind("EnginePool")}
    by_job = pools(values)
    assert set(held) == set(by_job) == {"a", "b"}
    assert all(held[name]["spec"] == by_job[name]["spec"] for name in held)
    assert all(held[name]["metadata"]["labels"] == by_job[name]["metadata"]["labels"] for name in held)


def test_pools_can_later_be_the_releases_own() -> None:
    assert pools({"pools": {"a": SIM}})["a"]["metadata"]["annotations"] == {
        "meta.helm.sh/release-name": "rel",
        "meta.helm.sh/release-namespace": "apps",
    }


def test_an_image_that_a_pool_does_not_name_is_its_kinds() -> None:
    values = {
        "imageRegistry": "r.example.com/a",
        "engineImages": {"sim": {"tag": "2", "pullPolicy": "Never"}},
        "pools": {"a": VLLM, "b": SIM, "c": {**SIM, "engine": {"kind": "sim", "image": "localhost/own:1"}}},
    }
    engines = {name: pool["spec"]["engine"] for name, pool in pools(values).items()}
    assert engines["a"]["image"] == "r.example.com/a/autellix-engine:0.1.0"
    assert (engines["b"]["image"], engines["b"]["imagePullPolicy"]) == (
        "r.example.com/a/autellix-engine-sim:2",
        "Never",
    )
    assert engines["c"]["image"] == "localhost/own:1"
    assert "imagePullPolicy" not in engines["c"]


@pytest.mark.parametrize("auth", [{"engineKey": "k"}, {"existingSecret": "mine"}], ids=str)
def test_vllm_engines_demand_the_key_that_gateways_show(auth: dict[str, str]) -> None:
    own = {"name": "HF_HOME", "value": "/models"}
    given = pools({"auth": auth, "pools": {"a": {**VLLM, "engine": {"env": [own]}}, "b": SIM}})
    wanted = {"name": auth.get("existingSecret", "rel-autellix-keys"), "key": "engine-key", "optional": True}
    shown = {"name": "VLLM_API_KEY", "valueFrom": {"secretKeyRef": wanted}}
    assert given["a"]["spec"]["engine"]["env"] == [own, shown]
    assert "env" not in given["b"]["spec"]["engine"]
    assert "env" not in pools({"pools": {"a": VLLM}})["a"]["spec"]["engine"]


def test_pull_secrets_reach_engines_that_name_none() -> None:
    own = {**SIM, "podTemplate": {"imagePullSecrets": [{"name": "own"}]}}
    given = pools({"imagePullSecrets": [{"name": "all"}], "pools": {"a": SIM, "b": own}})
    assert given["a"]["spec"]["podTemplate"]["imagePullSecrets"] == [{"name": "all"}]
    assert given["b"]["spec"]["podTemplate"]["imagePullSecrets"] == [{"name": "own"}]


def test_what_the_values_leave_open_is_left_to_whoever_decides_it() -> None:
    scaled = {**SIM, "scaling": {"mode": "External"}}
    assert "replicas" not in pools({"pools": {"a": scaled}})["a"]["spec"]


@pytest.mark.parametrize(
    ("values", "upgrade", "verbs"),
    [
        ({}, False, {"clear"}),
        ({}, True, {"apply", "clear"}),
        ({"pools": {"a": SIM}}, False, {"apply", "clear"}),
        ({"hooks": {"enabled": False}, "pools": {"a": SIM}}, True, set()),
    ],
    ids=["no pools", "pools may have been taken away", "pools", "no hooks"],
)
def test_a_job_runs_where_there_may_be_something_to_do(values: dict[str, Any], upgrade: bool, verbs: set[str]) -> None:
    jobs = rendered(values, upgrade=upgrade).kind("Job")
    assert {job["metadata"]["name"].removeprefix("rel-autellix-pools-") for job in jobs} == verbs
    hooks = {
        job["metadata"]["name"].rsplit("-", 1)[1]: job["metadata"]["annotations"]["helm.sh/hook"].split(",")
        for job in jobs
    }
    assert hooks.get("apply", ["post-install", "post-upgrade", "post-rollback"]) == [
        "post-install",
        "post-upgrade",
        "post-rollback",
    ]
    assert hooks.get("clear", ["pre-delete"]) == ["pre-delete"]


def test_the_jobs_are_bounded_and_run_the_operators_image() -> None:
    chart = rendered({"pools": {"a": SIM}, "hooks": {"timeoutSeconds": 77}, "operator": {"image": {"tag": "9"}}})
    for job in chart.kind("Job"):
        assert job["spec"]["activeDeadlineSeconds"] == 77
        assert job["spec"]["template"]["spec"]["containers"][0]["image"] == "autellix-operator:9"


@pytest.mark.parametrize("name", ["values-sim.yaml", "values-cuda.yaml"])
def test_the_examples_are_pools_that_the_operator_knows(name: str) -> None:
    given = applied(rendered(files=(name,)))
    assert set(given) == set(yaml.safe_load((CHART / name).read_text())["pools"])
    for pool in given.values():
        assert pool["spec"]["engine"]["image"]
        assert pool["spec"]["resources"]["limits"]


@pytest.mark.parametrize("name", ["enginepools", "programsessions"])
def test_definitions_are_the_operators_and_are_kept(name: str) -> None:
    own = yaml.safe_load((ROOT / f"operator/src/autellix_operator/crds/{name}.yaml").read_text())
    (brought,) = (
        each
        for each in rendered().kind("CustomResourceDefinition")
        if each["metadata"]["name"] == f"{name}.autellix.dev"
    )
    assert brought["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert brought == own


def test_the_pod_of_helm_test_runs_the_script_as_it_is() -> None:
    (pod,) = rendered().kind("Pod")
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["python3", "-c"]
    assert container["args"] == [(CHART / "files" / "program.py").read_text()]
    assert "$(" not in container["args"][0], "Kubernetes would put a variable's value there"
