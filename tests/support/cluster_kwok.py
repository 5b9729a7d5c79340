"""Nodes that are only said to exist: pods on them are Ready at once and run nothing, so hundreds cost little."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster_access import Cluster
from cluster_binaries import Binaries
from cluster_processes import Processes

__all__ = ["TOLERATION", "FakeNodes", "fake_nodes"]

_MARK = "kwok.x-k8s.io/node"
TOLERATION: Mapping[str, str] = {"key": _MARK, "operator": "Equal", "value": "fake", "effect": "NoSchedule"}
"""What a pod must tolerate to be placed on such a node; its ``nodeSelector`` is ``{"type": "kwok"}``."""


@dataclass(frozen=True, slots=True)
class FakeNodes:
    """Made by :func:`fake_nodes`."""

    cluster: Cluster

    def make(self, count: int, *, gpus: int = 0, pods: int = 250, labels: Mapping[str, str] | None = None) -> list[str]:
        """So many more nodes, Ready; each takes so many pods, and says it has so many ``nvidia.com/gpu``."""
        first = len(self.cluster.objects("node", labels="type=kwok"))
        names = [f"kwok-{index}" for index in range(first, first + count)]
        self.cluster.apply(*(_node(name, gpus, pods, labels or {}) for name in names))
        self.cluster.wait("condition=Ready", *(f"node/{name}" for name in names))
        return names

    def remove(self, *names: str) -> None:
        """Take nodes away, or all of them, with the pods on them."""
        which = names or ("--selector=type=kwok",)
        self.cluster.kubectl("delete", "node", *which, "--ignore-not-found")


@contextmanager
def fake_nodes(cluster: Cluster, binaries: Binaries, folder: Path) -> Iterator[FakeNodes]:
    """Look after fake nodes of this cluster, until leaving; then they are gone. Other nodes are left alone."""
    program = binaries.path("kwok")
    processes = Processes(folder)
    nodes = FakeNodes(cluster)
    processes.start(
        "kwok",
        program,
        f"--kubeconfig={cluster.kubeconfig}",
        f"--config={program.parent / 'stages.yaml'}",
        "--manage-all-nodes=false",
        f"--manage-nodes-with-annotation-selector={_MARK}=fake",
        "--node-lease-duration-seconds=40",
    )
    try:
        yield nodes
        nodes.remove()
    finally:
        processes.stop_all()


def _node(name: str, gpus: int, pods: int, labels: Mapping[str, str]) -> dict[str, Any]:
    room = {"cpu": "256", "memory": "1Ti", "pods": str(pods), **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": {_MARK: "fake"},
            "labels": {"type": "kwok", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", **labels},
        },
        "spec": {"taints": [{"key": _MARK, "value": "fake", "effect": "NoSchedule"}]},
        "status": {"allocatable": room, "capacity": room},
    }
