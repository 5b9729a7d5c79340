"""The chart and the manifests on a real API server, which has the last word on what is valid and who may do what."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from autellix_chart.files import CHART
from autellix_chart.manifests import FOLDER

from cluster_access import Cluster, Refused

QUIET = ("--set", "redis.persistence.enabled=true", "--no-hooks")
SIM = ("--values", str(CHART / "values-sim.yaml"))


@pytest.fixture
def kinds(control_plane: Cluster) -> Cluster:
    """The cluster, which knows our kinds."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(FOLDER / "crds.yaml"))
    for name in ("enginepools", "programsessions"):
        control_plane.wait("condition=Established", f"crd/{name}.autellix.dev")
    return control_plane


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    with control_plane.namespace("chart") as name:
        control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        yield name


def dry_run(cluster: Cluster, namespace: str, path: Path) -> str:
    """What the API server says of a file, whose objects are in the namespace ``autellix``, were they in this one."""
    documents = [each for each in yaml.safe_load_all(path.read_text()) if each]
    for each in documents:
        each["metadata"]["namespace"] = namespace
        for subject in each.get("subjects", []):
            subject["namespace"] = namespace
    text = yaml.safe_dump_all(documents)
    return cluster.kubectl("apply", "--dry-run=server", "--filename=-", namespace=namespace, stdin=text)


@pytest.mark.parametrize("name", ["install.yaml", "sim.yaml", "examples/two-pools.yaml", "examples/hpa.yaml"])
def test_the_manifests_are_accepted(kinds: Cluster, namespace: str, name: str) -> None:
    said = dry_run(kinds, namespace, FOLDER / name)
    assert said.count("server dry run") == sum(1 for each in yaml.safe_load_all((FOLDER / name).read_text()) if each)
    assert "Warning" not in said


def test_the_agents_job_is_accepted(kinds: Cluster, namespace: str) -> None:
    assert "job.batch/triage created" in dry_run(kinds, namespace, FOLDER / "examples" / "agent-job.yaml")


def keys(cluster: Cluster, namespace: str) -> dict[str, dict[str, str]]:
    return {
        each["metadata"]["name"]: each["data"]
        for each in cluster.objects("secrets", namespace)
        if each["type"] == "Opaque"
    }


def test_keys_and_volumes_live_through_an_upgrade_and_definitions_through_an_uninstall(
    kinds: Cluster, namespace: str
) -> None:
    def helm(verb: str, *arguments: str) -> str:
        chart = () if verb == "uninstall" else (str(CHART),)
        return kinds.helm(verb, "rel", *chart, *arguments, namespace=namespace)

    said = helm("install", *QUIET, "--take-ownership")
    assert "No pool of engines is defined yet" in said
    assert f"helm test rel -n {namespace} --logs" in said
    assert f"http://rel-autellix-gateway.{namespace}.svc:8080/v1" in said
    before = keys(kinds, namespace)
    assert set(before) == {"rel-autellix-keys", "rel-autellix-redis"}
    template = kinds.get("statefulset", "rel-autellix-redis", namespace)
    assert template is not None
    kinds.until("there was a claim", lambda: kinds.get("pvc", "data-rel-autellix-redis-0", namespace))

    helm("upgrade", *QUIET, "--set", "gateway.settings.policy=plas", "--set", "commonLabels.team=agents")
    assert keys(kinds, namespace) == before
    after = kinds.get("statefulset", "rel-autellix-redis", namespace)
    assert after is not None
    assert after["metadata"]["uid"] == template["metadata"]["uid"]

    helm("upgrade", *QUIET, "--set", "auth.operatorKey=other")
    changed = keys(kinds, namespace)["rel-autellix-keys"]
    assert changed["session-secret"] == before["rel-autellix-keys"]["session-secret"]
    assert changed["operator-key"] != before["rel-autellix-keys"]["operator-key"]

    helm("uninstall", "--no-hooks")
    assert kinds.get("crd", "enginepools.autellix.dev") is not None
    assert kinds.get("pvc", "data-rel-autellix-redis-0", namespace) is not None
    assert not keys(kinds, namespace)
    left = kinds.kubectl(
        "get", "deployments,services,networkpolicies,roles,configmaps", "-o", "name", namespace=namespace
    )
    assert [each for each in left.split() if "rel-autellix" in each] == []


def test_a_pod_of_every_kind_is_let_in_by_the_restricted_standard(kinds: Cluster, namespace: str) -> None:
    kinds.helm("install", "rel", str(CHART), *SIM, "--no-hooks", "--take-ownership", namespace=namespace)
    names = ("rel-autellix-gateway", "rel-autellix-operator", "rel-autellix-redis")

    def made() -> bool:
        pods = kinds.objects("pods", namespace)
        return all(any(pod["metadata"]["name"].startswith(name) for pod in pods) for name in names)

    kinds.until("each had a pod", made)


def account(cluster: Cluster, namespace: str, folder: Path) -> dict[str, str]:
    """Variables and files by which a pod of the pools' account would ask the API server."""
    config: dict[str, Any] = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "--output=json"))
    server = config["clusters"][0]["cluster"]
    authority = cluster.kubectl(
        "get", "configmap", "kube-root-ca.crt", "--output=jsonpath={.data.ca\\.crt}", namespace=namespace
    )
    (folder / "ca.crt").write_text(authority)
    (folder / "token").write_text(cluster.kubectl("create", "token", "rel-autellix-pools", namespace=namespace))
    return {"ACCOUNT": str(folder), "APISERVER": server["server"], "RELEASE": "rel", "NAMESPACE": namespace}


def test_the_pools_job_may_do_what_it_does(kinds: Cluster, namespace: str, tmp_path: Path) -> None:
    kinds.helm("install", "rel", str(CHART), *SIM, "--no-hooks", "--take-ownership", namespace=namespace)
    given = account(kinds, namespace, tmp_path)
    configured = kinds.get("configmap", "rel-autellix-pools", namespace)
    assert configured is not None
    for name, text in configured["data"].items():
        (tmp_path / name).write_text(text)

    def job(verb: str) -> str:
        command = [sys.executable, str(tmp_path / "pools.py"), verb]
        environment = {"PATH": os.environ["PATH"], **given}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert job("apply") == "applied sim\n"
    pool = kinds.get("enginepool", "sim", namespace)
    assert pool is not None
    assert pool["spec"]["engine"]["image"] == "autellix-engine-sim:0.1.0"
    assert job("apply") == "applied sim\n"

    session = {"apiVersion": "autellix.dev/v1alpha1", "kind": "ProgramSession", "metadata": {"name": "one"}}
    kinds.apply({**session, "spec": {"model": "autellix-tiny"}}, namespace=namespace)
    assert job("clear").splitlines() == ["no programsessions are left", "no enginepools are left"]
    assert kinds.get("enginepool", "sim", namespace) is None
    with pytest.raises(Refused):
        kinds.kubectl("get", "programsession", "one", namespace=namespace)
