"""What is rendered for those without Helm, the values files and the examples: up to date, and accepted."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from autellix_chart.files import CHART, ROOT
from autellix_chart.manifests import FOLDER, rendered

from chart import helm, lint, pod_of
from chart import rendered as chart_rendered

EXAMPLES = sorted((FOLDER / "examples").glob("*.yaml"))
VALUES = [*sorted(CHART.glob("values*.yaml")), *[path for path in EXAMPLES if path.stem.endswith("-values")]]
OBJECTS = [path for path in EXAMPLES if not path.stem.endswith("-values")]


def documents(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


@pytest.mark.parametrize("path", VALUES, ids=lambda path: path.name)
def test_helm_finds_no_fault(path: Path) -> None:
    assert "0 chart(s) failed" in lint(path)


def test_the_manifests_are_up_to_date() -> None:
    for name, text in rendered(Path(helm())).items():
        assert (FOLDER / name).read_text() == text, (
            f"manifests/{name} is not what the chart renders: run make manifests"
        )


def test_the_manifests_hold_no_secret_and_nothing_of_helms() -> None:
    for path in FOLDER.glob("*.yaml"):
        kinds = {each["kind"] for each in documents(path)}
        assert not kinds & {"Secret", "Job", "Pod"}
        assert "helm.sh" not in path.read_text()


def test_the_manifests_say_which_secrets_they_read() -> None:
    for path in (FOLDER / "install.yaml", FOLDER / "sim.yaml"):
        read = set(re.findall(r"secretKeyRef:\n\s+name: (\S+)", path.read_text()))
        introduction = path.read_text().split("---")[0]
        made = set(re.findall(r"create secret generic (\S+)", path.read_text()))
        assert read == made
        assert path.name in introduction or "apply -f" in introduction


def test_definitions_are_apart_since_kubectl_must_know_them_first() -> None:
    assert {each["kind"] for each in documents(FOLDER / "crds.yaml")} == {"CustomResourceDefinition"}
    for name in ("install.yaml", "sim.yaml"):
        assert "CustomResourceDefinition" not in {each["kind"] for each in documents(FOLDER / name)}


@pytest.mark.parametrize("path", OBJECTS, ids=lambda path: path.name)
def test_an_examples_pools_are_pools(path: Path) -> None:
    pools = {each["metadata"]["name"]: each["spec"] for each in documents(path) if each["kind"] == "EnginePool"}
    values = {"pools": pools, "hooks": {"enabled": False}}
    assert {each["metadata"]["name"] for each in chart_rendered(values).kind("EnginePool")} == set(pools)


def test_the_agents_job_reads_the_session_that_it_brings() -> None:
    given = documents(FOLDER / "examples" / "agent-job.yaml")
    (session,) = (each for each in given if each["kind"] == "ProgramSession")
    (job,) = (each for each in given if each["kind"] == "Job")
    pod = pod_of(job)
    assert pod is not None
    secrets = [volume["secret"]["secretName"] for volume in pod["spec"]["volumes"] if "secret" in volume]
    assert secrets == [f"{session['metadata']['name']}-session"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    (script,) = (each["data"]["agent.py"] for each in given if each["kind"] == "ConfigMap")
    compile(script, "agent.py", "exec")
    assert f'"model": "{session["spec"]["model"]}"' in script


@pytest.mark.parametrize("name", ["keda-scaledobject.yaml", "hpa.yaml"])
def test_an_autoscaler_asks_for_metrics_that_gateways_export_of_pools(name: str) -> None:
    text = (FOLDER / "examples" / name).read_text()
    (scaler,) = documents(FOLDER / "examples" / name)
    assert scaler["spec"]["scaleTargetRef"] == {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": "EnginePool",
        "name": "sim",
    }
    asked = set(re.findall(r"autellix_pool_\w+", text))
    assert asked <= {
        f"autellix_pool_{each}"
        for each in ("calls", "held_calls", "waiting_calls", "active_programs", "returning_programs")
    }
    assert asked


@pytest.mark.parametrize("document", ["README.md", "docs/install-kubernetes.md"])
def test_files_that_are_told_of_are_there(document: str) -> None:
    text = (ROOT / document).read_text()
    named = set(re.findall(r"\b((?:helm|manifests)/[\w./-]+\.\w+)", text))
    assert [path for path in named if not (ROOT / path).exists()] == []
