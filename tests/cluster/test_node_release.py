"""The whole system as users install it, on a real node: the chart, an agent, scaling, faults one at a time, the end.

The tests of this module are one story on one release, in this order.
"""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster_images import IMAGES
from cluster_node import NodeCluster
from cluster_release import CHART, MODEL, POOL, VALUES, Release, killed, settled

_EXAMPLE = Path(__file__).parents[2] / "manifests" / "examples" / "agent-job.yaml"
_ROUNDING_S = 2e-6
"""What rounding of seconds in headers may come to, a call."""


@pytest.fixture(scope="module")
def release(node_cluster: NodeCluster) -> Iterator[Release]:
    with node_cluster.cluster.namespace("release") as namespace:
        installed = Release(node_cluster, namespace)
        installed.install()
        yield installed


def test_a_program_goes_through_when_helm_tests(release: Release) -> None:
    assert "Phase:          Succeeded" in release.helm("test", "--timeout=90s")


def test_an_agents_job_runs_with_its_session_and_kubectl_shows_it(release: Release) -> None:
    cluster = release.node.cluster
    for each in _agent_job():
        cluster.apply(each, namespace=release.namespace)
    cluster.wait("condition=Complete", "job/triage", namespace=release.namespace)

    def told() -> dict[str, Any] | None:
        session = cluster.get("programsession", "triage", release.namespace)
        assert session is not None
        status: dict[str, Any] = session.get("status", {})
        return status if status.get("calls") == 3 and status.get("activeCalls") == 0 else None

    status = cluster.until("the three calls were shown", told)
    assert status["serviceSeconds"] > 0
    assert status["engine"].startswith(f"{POOL}-engine-")
    assert status["phase"] == "Idle"
    heads, row = cluster.kubectl("get", "psess", "triage", namespace=release.namespace).splitlines()
    assert heads.split() == ["NAME", "MODEL", "PHASE", "CALLS", "ACTIVE", "SERVICE", "WAIT", "LEVEL", "ENGINE", "AGE"]
    assert row.split()[1:5] == [MODEL, "Idle", "3", "0"]
    reasons = {event["reason"] for event in release.objects("events.events.k8s.io") if _about(event) == "triage"}
    assert {"Registered", "FirstCall"} <= reasons

    cluster.delete("programsession", "triage", release.namespace)  # waits for the finalizer
    assert cluster.get("programsession", "triage", release.namespace) is None
    assert release.programs()[status["programId"]]["state"] == "ended"
    cluster.until("its Secret was gone", lambda: cluster.get("secret", "triage-session", release.namespace) is None)


def test_a_pool_grows_with_its_load_and_shrinks_without_failing_a_call(release: Release) -> None:
    with release.load("rush", "--programs=12", "--at-once=12", "--calls=8", "--tokens=60", "--streams") as rush:
        release.until_engines(3)
        release.node.cluster.until("a program was shown at work", lambda: _at_work(release))
        assert not rush.ended().lost
    with release.load(
        "trickle", "--programs=3", "--at-once=3", "--calls=400", "--tokens=60", "--streams", "--until=/tmp/enough"
    ) as trickle:
        release.until_engines(2, within_s=120)
        _enough(release, "trickle")
        load = trickle.ended()
    assert (load.lost, load.broken, load.refused) == ([], 0, {})
    assert all(program["calls"] > 0 for program in load.programs)
    story = [event["note"] for event in release.objects("events.events.k8s.io") if _about(event) == POOL]
    assert any("rain" in note for note in story), story
    _converges(release, load.programs)


def test_an_engine_killed_in_the_middle_of_streams_costs_no_call(release: Release) -> None:
    with release.load("engine", "--programs=6", "--at-once=6", "--calls=6", "--tokens=150", "--streams") as job:
        job.until_under_way()
        victim = release.pods("engine")[0]
        release.node.cluster.kubectl(
            "delete", "pod", victim, "--grace-period=0", "--force", namespace=release.namespace
        )
        load = job.ended()
    assert load.lost == []
    _accounted(release, load.programs, exactly=False)
    _converges(release, load.programs)
    release.until_engines(2)


def test_a_gateway_killed_costs_no_call(release: Release) -> None:
    with release.load("gateway", "--programs=6", "--at-once=6", "--calls=6", "--tokens=150") as job:
        job.until_under_way()
        victim = release.pods("gateway")[0]
        release.node.cluster.kubectl(
            "delete", "pod", victim, "--grace-period=0", "--force", namespace=release.namespace
        )
        load = job.ended()
    assert load.lost == []
    _accounted(release, load.programs, exactly=False)
    _converges(release, load.programs)


def test_a_gateway_told_to_end_breaks_nothing_off(release: Release) -> None:
    release.node.cluster.wait("condition=Available", "deployment/autellix-gateway", namespace=release.namespace)
    with release.load("leaving", "--programs=6", "--at-once=6", "--calls=6", "--tokens=150", "--streams") as job:
        job.until_under_way()
        release.node.cluster.delete("pod", release.pods("gateway")[0], release.namespace, wait=False)
        load = job.ended()
    assert (load.lost, load.broken) == ([], 0)
    _converges(release, load.programs)


def test_an_operator_killed_is_not_noticed(release: Release) -> None:
    with release.load("operator", "--programs=6", "--at-once=6", "--calls=6", "--tokens=100") as job:
        job.until_under_way()
        assert killed("autellix_operator")
        load = job.ended()
    assert (load.lost, load.broken, load.refused) == ([], 0, {})
    _accounted(release, load.programs, exactly=True)
    _converges(release, load.programs)


def test_redis_killed_is_not_noticed_and_no_service_is_lost_or_doubled(release: Release) -> None:
    with release.load("redis", "--programs=6", "--at-once=6", "--calls=8", "--tokens=100") as job:
        job.until_settled()
        assert killed("redis-server") == 1
        load = job.ended()
    assert (load.lost, load.broken) == ([], 0)
    _accounted(release, load.programs, exactly=True)
    _converges(release, load.programs)


def test_gateways_serve_on_while_nobody_reaches_the_api(release: Release) -> None:
    with release.load("headless", "--programs=6", "--at-once=6", "--calls=20", "--tokens=60", "--streams") as job:
        job.until_under_way()
        with release.node.plane.api_server_away():
            time.sleep(5.0)
        load = job.ended()
    assert (load.lost, load.broken, load.refused) == ([], 0, {})
    _converges(release, load.programs)


def test_a_pool_goes_to_sleep_and_a_held_call_wakes_it(release: Release) -> None:
    release.scale(minReplicas=0, idleSeconds=2, stabilizationSeconds=2)
    release.until_engines(0, within_s=120)
    token, session = _opened(release)
    assert _call(release, token) > 0
    assert release.pods("engine")
    [program] = settled(release, [session]).values()
    assert program["calls"] == 1
    assert program["wait_seconds"] > 0, "it waited for the engine"
    release.scale(minReplicas=2)
    release.until_engines(2)


def test_an_upgrade_keeps_sessions(release: Release, tmp_path: Path) -> None:
    newer = tmp_path / "autellix"
    shutil.copytree(CHART, newer)
    description = yaml.safe_load((newer / "Chart.yaml").read_text())
    (newer / "Chart.yaml").write_text(yaml.safe_dump({**description, "version": "0.1.1"}))
    token, session = _opened(release)
    before = _call(release, token)

    gateway = {**VALUES["gateway"], "settings": {**VALUES["gateway"]["settings"], "policy": "plas"}}
    release.node.cluster.helm(
        "upgrade",
        release.name,
        str(newer),
        "--wait",
        "--timeout=90s",
        "--values=-",
        namespace=release.namespace,
        stdin=yaml.safe_dump({**VALUES, "gateway": gateway}),
    )

    after = _call(release, token)
    [program] = settled(release, [session]).values()
    assert program["calls"] == 2
    assert program["service_seconds"] == pytest.approx(before + after, abs=2 * _ROUNDING_S)


def test_what_stays_after_uninstalling_is_what_the_documentation_says(release: Release) -> None:
    release.helm("uninstall", "--wait", "--timeout=90s")
    cluster = release.node.cluster
    kinds = (
        "deployment,statefulset,replicaset,service,poddisruptionbudget,networkpolicy,job,role,rolebinding,pod,secret,"
        "configmap,serviceaccount,persistentvolumeclaim,programsession,enginepool"
    )

    def left() -> set[tuple[str, str]]:
        mine = release.objects(kinds, "app.kubernetes.io/name=autellix")
        return {(each["kind"], each["metadata"]["name"]) for each in mine}

    cluster.until("what is not documented to stay was gone", lambda: left() == {("Pod", "autellix-test")}, within_s=90)
    assert {each["metadata"]["name"] for each in cluster.objects("customresourcedefinition")} >= {
        "enginepools.autellix.dev",
        "programsessions.autellix.dev",
    }


def _agent_job() -> list[dict[str, Any]]:
    """The documented example, with this cluster's model and image."""
    text = _EXAMPLE.read_text().replace("autellix-tiny", MODEL).replace("autellix-gateway:0.1.0", IMAGES["gateway"])
    return list(yaml.safe_load_all(text))


def _about(event: dict[str, Any]) -> str:
    name: str = event["regarding"]["name"]
    return name


def _enough(release: Release, load: str) -> None:
    [pod] = [each["metadata"]["name"] for each in release.objects("pod", f"load={load}")]
    release.node.cluster.kubectl("exec", pod, "--", "touch", "/tmp/enough", namespace=release.namespace)


def _at_work(release: Release) -> bool:
    shown = [session.get("status", {}) for session in release.objects("programsession")]
    return any(
        status.get("phase") == "Active" and status["activeCalls"] and status["serviceSeconds"] > 0 for status in shown
    )


def _accounted(release: Release, programs: list[dict[str, Any]], *, exactly: bool) -> None:
    """No service is lost, and none is doubled.

    What clients were told of whole answers is in the table, and where no call broke off nothing else is.
    """
    table = settled(release, [program["session"] for program in programs])
    for program in programs:
        counted, told = table[program["session"]]["service_seconds"], program["service_s"]
        rounding = _ROUNDING_S * program["calls"]
        assert counted >= told - rounding, program
        if exactly:
            assert counted <= told + rounding, program


def _converges(release: Release, programs: list[dict[str, Any]]) -> None:
    """ProgramSessions come to say what the table says."""
    table = settled(release, [program["session"] for program in programs])

    def agree() -> bool:
        shown = {
            session["status"]["programId"]: session["status"]
            for session in release.objects("programsession")
            if "programId" in session.get("status", {})
        }
        return all(
            each in shown
            and shown[each]["calls"] == program["calls"]
            and shown[each]["serviceSeconds"] == pytest.approx(program["service_seconds"], abs=0.01)
            and shown[each]["activeCalls"] == 0
            for each, program in table.items()
        )

    release.node.cluster.until("every ProgramSession said what the table says", agree, within_s=60)


def _opened(release: Release) -> tuple[str, str]:
    with release.gateway() as url:
        told = _posted(f"{url}/v1/sessions", {"model": MODEL}, {})[0]
    return told["token"], told["id"]


def _call(release: Release, token: str) -> float:
    """One call of the session; the seconds of service that it cost."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 20}
    with release.gateway() as url:
        _, headers = _posted(f"{url}/v1/chat/completions", body, {"x-autellix-session": token})
    return float(headers["x-autellix-service-seconds"])


def _posted(url: str, body: dict[str, Any], headers: dict[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json", **headers}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer), {name.lower(): value for name, value in answer.headers.items()}
