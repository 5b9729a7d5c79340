"""ProgramSessions on a real API server: the operator as a process with the rights that it asks for, and no more."""

import base64
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import autellix_operator
from autellix_operator.mirroring import mirror_name
from cluster_access import Cluster
from cluster_control_plane import ControlPlane
from operator_gateway import ScriptedGateway
from operator_process import OperatorProcess, gateway_in_a_thread, rights

CRDS = Path(autellix_operator.__file__).parent / "crds"


class Stage:
    """A namespace, a gateway, and operators that the test starts."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, folder: Path, namespace: str, url: str) -> None:
        self.cluster = cluster
        self.gateway = ScriptedGateway()
        self.namespace = namespace
        self.operators: list[OperatorProcess] = []
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._url = url

    def start(self, identity: str = "one", **flags: Any) -> OperatorProcess:
        log = self._folder / f"{identity}.log"
        started = OperatorProcess(
            self._kubeconfig, log, namespace=self.namespace, gateway_url=self._url, identity=identity, **flags
        )
        self.operators.append(started)
        return started

    def create(self, name: str, **spec: Any) -> None:
        body = {
            "apiVersion": "autellix.dev/v1alpha1",
            "kind": "ProgramSession",
            "metadata": {"name": name},
            "spec": {"model": "tiny", **spec},
        }
        self.cluster.kubectl("create", "--filename=-", namespace=self.namespace, stdin=json.dumps(body))

    def see(self, name: str) -> dict[str, Any]:
        return self.cluster.get("psess", name, self.namespace) or {}

    def phase(self, name: str) -> str:
        return str(self.see(name).get("status", {}).get("phase", ""))

    def until_phase(self, name: str, phase: str) -> dict[str, Any]:
        self.cluster.until(f"{name} was {phase}", lambda: self.phase(name) == phase)
        return self.see(name)

    def holder(self) -> str:
        lease = self.cluster.get("lease", "autellix-operator", self.namespace) or {}
        return str(lease.get("spec", {}).get("holderIdentity", ""))


@pytest.fixture
def stage(control_plane: Cluster, api_server: ControlPlane, tmp_path: Path) -> Iterator[Stage]:
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    control_plane.wait("condition=Established", "crd/programsessions.autellix.dev", "crd/enginepools.autellix.dev")
    with ExitStack() as stack:
        namespace = stack.enter_context(control_plane.namespace("sessions"))
        user = f"operator-of-{namespace}"
        control_plane.apply(*rights(user, namespace))
        gateway = ScriptedGateway()
        url = stack.enter_context(gateway_in_a_thread(gateway))
        made = Stage(control_plane, api_server.kubeconfig_for(user), tmp_path, namespace, url)
        made.gateway = gateway
        yield made
        for operator in made.operators:
            if operator.running():
                operator.kill()
        for session in control_plane.objects("psess", namespace):
            patch = '{"metadata":{"finalizers":null}}'
            name = session["metadata"]["name"]
            control_plane.kubectl("patch", "psess", name, "--type=merge", f"--patch={patch}", namespace=namespace)


def test_a_session_from_birth_to_end(stage: Stage) -> None:
    operator = stage.start()
    stage.create("mine")
    made = stage.until_phase("mine", "Registered")
    program = made["status"]["programId"]
    secret = stage.cluster.get("secret", "mine-session", stage.namespace)
    assert secret is not None
    assert base64.b64decode(secret["data"]["id"]).decode() == program
    assert base64.b64decode(secret["data"]["token"]).decode() == "token-0"
    stage.gateway.put(program, calls=2, active_calls=1, state="active", service_seconds=1.25, engines=["e-0"])
    assert stage.until_phase("mine", "Active")["status"]["serviceSeconds"] == 1.25
    stage.gateway.put("over-http", calls=1, mirror=True)
    mirrored = mirror_name("over-http")
    assert stage.until_phase(mirrored, "Idle")["metadata"]["labels"]["autellix.dev/mirrored"] == "true"
    table = stage.cluster.kubectl("get", "psess", namespace=stage.namespace)
    assert "mine" in table
    assert mirrored in table
    described = stage.cluster.kubectl("describe", "psess", "mine", namespace=stage.namespace)
    assert "Registered" in described
    assert "FirstCall" in described
    stage.cluster.delete("psess", "mine", stage.namespace)
    assert stage.gateway.ended == [program]
    stage.cluster.until(
        "the Secret was gone", lambda: stage.cluster.get("secret", "mine-session", stage.namespace) is None
    )
    stage.cluster.delete("psess", mirrored, stage.namespace)
    stage.cluster.until("the program was ended", lambda: stage.gateway.ended == [program, "over-http"])
    assert operator.stop() == 0
    assert "Traceback" not in operator.log.read_text()
    assert "orbidden" not in operator.log.read_text()


def test_an_api_server_that_goes_and_comes_back(stage: Stage, api_server: ControlPlane) -> None:
    stage.start()
    stage.create("before")
    stage.until_phase("before", "Registered")
    with api_server.api_server_away():
        stage.gateway.put("meanwhile", calls=1, mirror=True)
    stage.create("after")
    stage.until_phase("after", "Registered")
    stage.until_phase(mirror_name("meanwhile"), "Idle")
    stage.cluster.delete("psess", "before", stage.namespace)


def test_of_two_replicas_one_works_and_the_other_takes_over(stage: Stage) -> None:
    replicas = {"one": stage.start("one"), "two": stage.start("two")}
    stage.create("first")
    stage.until_phase("first", "Registered")
    leader = stage.holder()
    replicas[leader].kill()
    stage.create("second")
    stage.until_phase("second", "Registered")
    (other,) = replicas.keys() - {leader}
    assert stage.holder() == other
    assert replicas[other].stop() == 0
    assert stage.holder() == ""


def test_a_namespace_can_be_deleted_with_the_operator_in_it(stage: Stage) -> None:
    operator = stage.start()
    for number in range(5):
        stage.create(f"s{number}")
        stage.until_phase(f"s{number}", "Registered")
    stage.gateway.away = True
    stage.cluster.delete("namespace", stage.namespace, wait=False)
    assert operator.stop() == 0
    stage.cluster.until("the namespace was gone", lambda: stage.cluster.get("namespace", stage.namespace) is None)


def test_finalizers_are_taken_off_before_an_uninstallation(stage: Stage) -> None:
    operator = stage.start()
    stage.create("mine")
    stage.until_phase("mine", "Registered")
    assert operator.stop() == 0
    release = stage.start("release", release=True)
    stage.cluster.until("it ended", lambda: not release.running())
    assert "finalizers" not in stage.see("mine")["metadata"]
    assert stage.gateway.ended == []
