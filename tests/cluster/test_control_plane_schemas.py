"""The two kinds as an API server sees them: what it takes, fills in, refuses with a sentence, prints and explains."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import autellix_operator
from cluster_access import Cluster, Refused
from cluster_invalid import CHANGES, INVALID, VALID, Case, changed, good

CRDS = Path(autellix_operator.__file__).parent / "crds"


@pytest.fixture(scope="module")
def place(control_plane: Cluster) -> Iterator[str]:
    """A namespace beside the two kinds."""
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    names = ("enginepools.autellix.dev", "programsessions.autellix.dev")
    control_plane.wait("condition=Established", *(f"crd/{name}" for name in names))
    with control_plane.namespace("schemas") as name:
        yield name


def named(cases: tuple[Case, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def dry_run(cluster: Cluster, verb: str, body: dict[str, Any], place: str) -> dict[str, Any]:
    options = ("--server-side", "--force-conflicts") if verb == "apply" else ()
    made = cluster.kubectl(
        verb, *options, "--dry-run=server", "--output=json", "-f", "-", namespace=place, stdin=json.dumps(body)
    )
    decoded: dict[str, Any] = json.loads(made)
    return decoded


@named(INVALID)
def test_what_cannot_work_is_refused_with_a_sentence(control_plane: Cluster, place: str, case: Case) -> None:
    with pytest.raises(Refused) as refused:
        dry_run(control_plane, "create", changed(good(case.kind), case.changes), place)
    assert case.says in str(refused.value)


@named(CHANGES)
def test_what_stays_as_it_is_made_cannot_be_changed(control_plane: Cluster, place: str, case: Case) -> None:
    before = changed(good(case.kind), {"metadata.name": f"as-it-is-{case.name}", **case.before})
    control_plane.apply(before, namespace=place)
    with pytest.raises(Refused) as refused:
        dry_run(control_plane, "apply", changed(before, case.changes), place)
    assert case.says in str(refused.value)
    control_plane.delete(case.kind, before["metadata"]["name"], place)


@named(VALID)
def test_what_can_work_is_taken(control_plane: Cluster, place: str, case: Case) -> None:
    made = dry_run(control_plane, "create", changed(good(case.kind), case.changes), place)
    assert made["metadata"]["uid"]


def test_defaults_are_filled_in(control_plane: Cluster, place: str) -> None:
    made = dry_run(control_plane, "create", changed(good("EnginePool"), {"spec.scaling": None}), place)["spec"]
    assert made["engine"] == {
        "kind": "vllm",
        "image": "autellix-engine:1",
        "imagePullPolicy": "IfNotPresent",
        "startupSeconds": 1800,
    }
    assert made["scaling"] == {
        "mode": "Auto",
        "minReplicas": 1,
        "maxReplicas": 4,
        "targetWaitSeconds": 1,
        "returningShare": 0.5,
        "stabilizationSeconds": 120,
        "idleSeconds": 600,
        "drainSeconds": 300,
    }
    assert made["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert made["hold"] == {"maxCalls": 1000, "seconds": 300}
    assert (made["replicas"], made["resources"]) == (1, {})
    session = dry_run(control_plane, "create", changed(good("ProgramSession"), {"spec.budget.outputTokens": 9}), place)
    assert session["spec"] == {
        "model": "tiny",
        "gracePeriodSeconds": 0,
        "budget": {"outputTokens": 9, "action": "Report"},
    }


def test_kubectl_scale_writes_replicas_but_not_where_the_operator_decides(control_plane: Cluster, place: str) -> None:
    control_plane.apply(changed(good("EnginePool"), {"metadata.name": "scaled"}), namespace=place)
    control_plane.kubectl("scale", "epool/scaled", "--replicas=3", namespace=place)
    found = control_plane.get("epool", "scaled", place)
    assert found is not None
    assert found["spec"]["replicas"] == 3
    patch = json.dumps({"spec": {"scaling": {"mode": "Auto"}}})
    control_plane.kubectl("patch", "epool", "scaled", "--type=merge", f"--patch={patch}", namespace=place)
    with pytest.raises(Refused, match=r"set scaling\.mode to Manual or External first"):
        control_plane.kubectl("scale", "epool/scaled", "--replicas=4", namespace=place)


def test_status_is_written_apart_and_printed(control_plane: Cluster, place: str) -> None:
    pool, session = good("EnginePool"), good("ProgramSession")
    control_plane.apply(pool, session, namespace=place)
    statuses = {
        "epool/tiny": {
            "replicas": 3,
            "readyReplicas": 2,
            "desiredReplicas": 3,
            "programs": 7,
            "waiting": 1,
            "selector": "autellix.dev/pool=tiny",
        },
        "psess/agent": {
            "phase": "Active",
            "calls": 12,
            "activeCalls": 2,
            "serviceSeconds": 3.25,
            "waitSeconds": 0.5,
            "level": 1,
            "engine": "tiny-engine-0",
            "programId": "k8s:default/agent/1",
        },
    }
    for name, status in statuses.items():
        patch = json.dumps({"status": status})
        control_plane.kubectl(
            "patch", name, "--subresource=status", "--type=merge", f"--patch={patch}", namespace=place
        )
    header, line = control_plane.kubectl("get", "epool", "tiny", namespace=place).splitlines()
    assert header.split() == ["NAME", "MODEL", "READY", "DESIRED", "PROGRAMS", "WAITING", "AGE"]
    assert line.split()[:6] == ["tiny", "tiny", "2", "3", "7", "1"]
    header, line = control_plane.kubectl("get", "psess", "agent", namespace=place).splitlines()
    columns = ["NAME", "MODEL", "PHASE", "CALLS", "ACTIVE", "SERVICE", "WAIT", "LEVEL", "ENGINE", "AGE"]
    assert header.split() == columns
    assert line.split()[:9] == ["agent", "tiny", "Active", "12", "2", "3.25", "0.5", "1", "tiny-engine-0"]
    both = control_plane.kubectl("get", "autellix", "--output=name", namespace=place).split()
    assert {"enginepool.autellix.dev/tiny", "programsession.autellix.dev/agent"} <= set(both)
    scale = json.loads(
        control_plane.kubectl("get", "--raw", f"/apis/autellix.dev/v1alpha1/namespaces/{place}/enginepools/tiny/scale")
    )
    assert (scale["status"]["replicas"], scale["status"]["selector"]) == (3, "autellix.dev/pool=tiny")


def test_every_field_is_explained(control_plane: Cluster, place: str) -> None:
    for name in ("enginepools", "programsessions"):
        crd = control_plane.get("crd", f"{name}.autellix.dev")
        assert crd is not None
        (version,) = crd["spec"]["versions"]
        missing = list(_unexplained(version["schema"]["openAPIV3Schema"], name))
        assert missing == []
    said = control_plane.kubectl("explain", "epool.spec.scaling.mode")
    assert "In every mode engines are drained before they go." in " ".join(said.split())


def _unexplained(schema: dict[str, Any], path: str) -> Iterator[str]:
    if "description" not in schema and not path.endswith("metadata"):
        yield path
    for name, field in schema.get("properties", {}).items():
        yield from _unexplained(field, f"{path}.{name}")
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            yield from _unexplained(schema[inner], f"{path}[]")
