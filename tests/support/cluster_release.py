"""Autellix as its chart installs it on the cluster with a node, and what a test does with it."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from cluster_access import Refused
from cluster_images import IMAGES
from cluster_node import NodeCluster

__all__ = ["CHART", "MODEL", "POOL", "VALUES", "Load", "LoadJob", "Release", "killed", "settled"]

CHART = Path(__file__).parents[2] / "helm" / "autellix"
MODEL, POOL = "tiny", "sim"
_LOAD = Path(__file__).parent / "cluster_load.py"
_TAG = {"tag": "test", "pullPolicy": "Never"}
_SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}}

VALUES: dict[str, Any] = {
    "imageRegistry": "localhost",
    "gateway": {
        "replicas": 2,
        "image": _TAG,
        "resources": _SMALL,
        "settings": {
            "lease_s": 6.0,
            "drain_delay_s": 2.0,
            "shutdown_s": 20.0,
            "health_interval_s": 0.5,
            "returning_within_s": 5.0,
        },
    },
    "operator": {
        "image": _TAG,
        "resources": _SMALL,
        "settings": {"status_interval_s": 1.0, "poll_interval_s": 1.0, "mirror_after_s": 1.0, "keep_ended_s": 5.0},
    },
    "redis": {
        "image": {"registry": "localhost", "repository": "redis", **_TAG},
        "podSecurityContext": {"runAsUser": 10001, "runAsGroup": 10001, "fsGroup": 10001},
        "persistence": {"enabled": False},
        "resources": _SMALL,
    },
    "engineImages": {"sim": _TAG},
    "pools": {
        POOL: {
            "model": {"name": MODEL},
            "engine": {"kind": "sim", "slots": 4, "args": ["--inter-token-time=0.02"]},
            "resources": _SMALL,
            "scaling": {
                "minReplicas": 2,
                "maxReplicas": 3,
                "targetCalls": 4,
                "stabilizationSeconds": 15,
                "drainSeconds": 10,
            },
        }
    },
}
"""A small release in which everything happens soon."""


@dataclass(frozen=True)
class Load:
    """What the programs of a load came to; see :mod:`cluster_load`."""

    programs: list[dict[str, Any]]

    @property
    def lost(self) -> list[str]:
        """Calls that were given up."""
        return [why for program in self.programs for why in program["lost"]]

    @property
    def broken(self) -> int:
        """Answers that broke off."""
        return sum(program["broken"] for program in self.programs)

    @property
    def refused(self) -> dict[str, int]:
        """Refusals before an answer, by kind."""
        kinds: dict[str, int] = {}
        for program in self.programs:
            for kind, count in program["refused"].items():
                kinds[kind] = kinds.get(kind, 0) + count
        return kinds


@dataclass(frozen=True)
class Release:
    """One installation, in a namespace of its own."""

    node: NodeCluster
    namespace: str
    name: str = "autellix"

    def helm(self, verb: str, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """``helm VERB`` of this release."""
        given = () if values is None else ("--values=-",)
        text = None if values is None else yaml.safe_dump(dict(values))
        return self.node.cluster.helm(verb, self.name, *arguments, *given, namespace=self.namespace, stdin=text)

    def install(self) -> None:
        """Install, and wait until gateways and engines are ready."""
        self.helm("install", str(CHART), "--wait", "--timeout=90s", values=VALUES)
        self.until_engines(2)

    def objects(self, kind: str, labels: str = "") -> list[dict[str, Any]]:
        """Of the namespace."""
        return self.node.cluster.objects(kind, self.namespace, labels=labels)

    def pods(self, component: str) -> list[str]:
        """Ready pods of a component that are not told to end."""
        return [
            pod["metadata"]["name"]
            for pod in self.objects("pod", f"app.kubernetes.io/component={component}")
            if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)
        ]

    def pool(self) -> dict[str, Any]:
        """The EnginePool."""
        found = self.node.cluster.get("enginepool", POOL, self.namespace)
        assert found is not None
        return found

    def until_engines(self, count: int, *, within_s: float = 90) -> None:
        """Until so many engines, neither more nor fewer, are ready, and the pool says so."""
        self.node.cluster.until(
            f"{count} engines were ready",
            lambda: (
                len(self.pods("engine")) == count and self.pool().get("status", {}).get("readyReplicas", 0) == count
            ),
            within_s=within_s,
        )

    def scale(self, **scaling: Any) -> None:
        """Change the pool's ``spec.scaling``."""
        patch = json.dumps({"spec": {"scaling": scaling}})
        self.node.cluster.kubectl(
            "patch", "enginepool", POOL, "--type=merge", f"--patch={patch}", namespace=self.namespace
        )

    @contextmanager
    def gateway(self) -> Iterator[str]:
        """The gateways' Service from here."""
        address = self.node.service(f"{self.name}-gateway", self.namespace)
        with self.node.door(address, 8080) as door:
            yield door

    def operator_key(self) -> str:
        """What the operator shows to gateways."""
        for secret in self.objects("secret"):
            if "operator-key" in secret.get("data", {}):
                return base64.b64decode(secret["data"]["operator-key"]).decode()
        raise AssertionError("No Secret of the release holds an operator's key.")

    def programs(self) -> dict[str, dict[str, Any]]:
        """All programs by id, as a gateway tells the operator."""
        with self.gateway() as url:
            request = urllib.request.Request(
                f"{url}/autellix/programs?limit=1000", headers={"authorization": f"Bearer {self.operator_key()}"}
            )
            with urllib.request.urlopen(request, timeout=20) as answer:
                told = json.load(answer)
        assert told["shared"]
        return {program["id"]: program for program in told["programs"]}

    def session_of(self, program: str) -> dict[str, Any] | None:
        """The ProgramSession of a program."""
        for session in self.objects("programsession"):
            if session.get("status", {}).get("programId") == program:
                return session
        return None

    @contextmanager
    def load(self, name: str, *arguments: str) -> Iterator[LoadJob]:
        """A Job that runs programs against the Service; see :mod:`cluster_load` for the arguments."""
        job = LoadJob(self, name)
        job.start(arguments)
        try:
            yield job
        finally:
            self.node.cluster.delete("job", name, self.namespace, wait=False)


@dataclass(frozen=True)
class LoadJob:
    """A load in the cluster."""

    release: Release
    name: str

    def start(self, arguments: tuple[str, ...]) -> None:
        """Make the Job."""
        script = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": self.name},
            "data": {"load.py": _LOAD.read_text()},
        }
        url = f"--url=http://{self.release.name}-gateway:8080"
        container = {
            "name": "load",
            "image": IMAGES["gateway"],
            "imagePullPolicy": "Never",
            "command": ["python3", "/load/load.py", url, f"--model={MODEL}", *arguments],
            "volumeMounts": [{"name": "load", "mountPath": "/load"}],
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        pod = {
            "restartPolicy": "Never",
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [container],
            "volumes": [{"name": "load", "configMap": {"name": self.name}}],
        }
        job = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": self.name},
            "spec": {"backoffLimit": 0, "template": {"metadata": {"labels": {"load": self.name}}, "spec": pod}},
        }
        self.release.node.cluster.apply(script, job, namespace=self.release.namespace)

    def until_under_way(self, calls: int = 4) -> None:
        """Until so many calls are in engines."""
        self.release.node.cluster.until(
            f"{calls} calls of the load {self.name} were under way",
            lambda: sum(program["active_calls"] for program in self.release.programs().values()) >= calls,
        )

    def until_settled(self, calls: int = 12) -> None:
        """Until so many calls were settled, long ago and just now, and others are in engines."""

        def settled() -> bool:
            programs = self.release.programs().values()
            active = [program for program in programs if program["active_calls"]]
            settled_calls: int = sum(program["calls"] - program["active_calls"] for program in active)
            return settled_calls >= calls

        self.release.node.cluster.until(f"{calls} calls of the load {self.name} were settled", settled)

    def ended(self, *, within_s: float = 150) -> Load:
        """What it came to, once it is done."""
        cluster, namespace = self.release.node.cluster, self.release.namespace
        try:
            cluster.wait("condition=Complete", f"job/{self.name}", namespace=namespace, within_s=within_s)
        except Refused as refused:
            said = cluster.kubectl("logs", f"job/{self.name}", "--tail=20", namespace=namespace)
            raise AssertionError(f"The load {self.name} did not end well: {said}") from refused
        said = cluster.kubectl("logs", f"job/{self.name}", "--tail=1", namespace=namespace)
        return Load(json.loads(said))


def killed(program: str) -> int:
    """End every process in the cluster's pods whose command line holds these words, with no chance to say anything."""
    count = 0
    for process in psutil.process_iter(["cmdline", "pid"]):
        line = " ".join(process.info["cmdline"] or ())
        with contextlib.suppress(psutil.Error, OSError):
            cgroup = Path(f"/proc/{process.pid}/cgroup").read_text()
            if program in line and "kubepods" in cgroup:
                process.kill()
                count += 1
    return count


def settled(release: Release, programs: list[str], *, within_s: float = 60) -> dict[str, dict[str, Any]]:
    """These programs once none of them has a call under way, as the table has them."""
    deadline = time.monotonic() + within_s
    while True:
        known = release.programs()
        mine = {each: known[each] for each in programs if each in known}
        if len(mine) == len(programs) and not any(program["active_calls"] for program in mine.values()):
            return mine
        assert time.monotonic() < deadline, f"After {within_s:.0f} s calls are still under way: {mine}."
        time.sleep(0.5)


def _is_ready(pod: Mapping[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
