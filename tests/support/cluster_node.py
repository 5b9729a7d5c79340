"""A cluster with a real node: kubelet, containerd, runc, kube-proxy and CoreDNS in a small machine inside this one.

Pods run as on any node. They and the API are in a network of their own from which nothing leaves; tests come in through
doors on loopback.
"""

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cluster_node_settings as settings
from cluster_access import Cluster
from cluster_binaries import Binaries, missing
from cluster_build import cache, exclusively
from cluster_control_plane import ControlPlane, Place
from cluster_images import PAUSE, build_archives
from cluster_machine import CGROUP, Machine, machine
from cluster_processes import Processes, free_ports

__all__ = ["NODE", "NodeCluster", "node_cluster"]

NODE = "node1"
"""The node's name."""
_FOLDER = Path("/var/lib/autellix-test")
"""One place, so that a run finds what an earlier one left; short, since sockets lie in it."""
_NODE_ADDRESS = "198.18.0.1"
_DNS_ADDRESS = "198.18.0.10"
_PODS = "198.19.0.0/16"
_PLACE = Place(
    port=6443,
    advertised=_NODE_ADDRESS,
    bound="0.0.0.0",
    services="198.18.64.0/20",
    first_service="198.18.64.1",
    etcd=2379,
    etcd_peers=2380,
    controllers=10257,
    scheduler=10259,
)
_TOOLS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "iptables": "iptables",
    "buildah": "buildah",
    "debootstrap": "debootstrap",
}
"""Programs, and the Debian packages that have them."""
_PLUGINS = Path("/usr/lib/cni")


@dataclass(frozen=True, slots=True)
class NodeCluster:
    """Made by :func:`node_cluster`."""

    cluster: Cluster
    """The API, reached from outside."""
    plane: ControlPlane
    node: Machine
    processes: Processes

    @contextmanager
    def door(self, host: str, port: int) -> Iterator[str]:
        """``http://127.0.0.1:...``, which leads to this address of a pod or Service while this lasts."""
        here = free_ports(1)[0]
        name = f"door-{here}"
        self.processes.start(name, *_door(self.node, here, host, port), before=())
        try:
            _await_door(self.processes, name, here)
            yield f"http://127.0.0.1:{here}"
        finally:
            self.processes.stop(name)

    def service(self, name: str, namespace: str) -> str:
        """The address that a Service has inside the cluster."""
        found = self.cluster.get("service", name, namespace)
        assert found is not None, f"There is no Service {name} in {namespace}."
        address: str = found["spec"]["clusterIP"]
        return address

    def offer(self, resource: str, count: int) -> None:
        """Let the node say that it has so many of a resource, such as ``nvidia.com/gpu``."""
        path = "/status/capacity/" + resource.replace("~", "~0").replace("/", "~1")
        patch = json.dumps([{"op": "add", "path": path, "value": str(count)}])
        self.cluster.kubectl("patch", "node", NODE, "--subresource=status", "--type=json", f"--patch={patch}")


@contextmanager
def node_cluster(binaries: Binaries) -> Iterator[NodeCluster]:
    """Start it; nothing of it is left afterwards. One at a time on a machine: others wait.

    Where the machine cannot do it the test is skipped, or fails where CI is set.
    """
    _ask_for_what_it_needs()
    archives = build_archives(binaries)
    with exclusively(cache() / "node.lock"):
        processes = Processes(cache() / "node-logs")
        with machine(_FOLDER, processes, binaries.path("pause")) as node:
            _make_network(node)
            plane = ControlPlane(
                _FOLDER / "plane",
                binaries,
                Processes(cache() / "node-logs", node.network),
                _PLACE,
                reached_with=node.network,
            )
            with plane.running():
                yield _join(node, plane, archives)


def _ask_for_what_it_needs() -> None:
    how = "Run the tests as root on Linux, or leave these out with -m 'not node'."
    if sys.platform != "linux" or os.geteuid() != 0:
        missing(f"A cluster with a node is made by root on Linux. {how}")
    lacking = {package for program, package in _TOOLS.items() if shutil.which(program) is None}
    if not (_PLUGINS / "ptp").exists():
        lacking.add("containernetworking-plugins")
    if lacking:
        missing(f"A cluster with a node needs programs that are not here: apt-get install {' '.join(sorted(lacking))}")


def _make_network(node: Machine) -> None:
    """The node's addresses on a bridge, and no way out: what asks for an address outside fails at once."""
    for command in (
        "link set lo up",
        "link add node0 type bridge",
        "link set node0 up",
        f"addr add {_NODE_ADDRESS}/32 dev node0",
        f"addr add {_DNS_ADDRESS}/32 dev node0",
        f"route add {_PLACE.services} dev node0",
        "route add unreachable default",
    ):
        node.run("ip", *command.split())
    node.run("sysctl", "-qw", "net.ipv4.ip_forward=1")


def _join(node: Machine, plane: ControlPlane, archives: Sequence[Path]) -> NodeCluster:
    """Start what makes the small machine a node of this control plane, and wait until it is Ready."""
    binaries, processes = plane.binaries, plane.processes
    socket = node.folder / "c.sock"
    runtime = settings.containerd(
        node.folder, socket, store=_store(), pause=PAUSE, plugins=_PLUGINS, runc=binaries.path("runc")
    )
    kubelet = settings.kubelet(
        node.folder, socket, authority=plane.authority.identity.certificate, dns_address=_DNS_ADDRESS, cgroup=CGROUP
    )
    for name, text in (
        ("containerd.toml", runtime),
        ("cni/10-pods.conflist", json.dumps(settings.pod_network(node.folder, _PODS))),
        ("kubelet.json", json.dumps(kubelet)),
        ("proxy.json", json.dumps(settings.kube_proxy(plane.kubeconfig_for("system:kube-proxy"), _PODS, NODE))),
        ("resolv.conf", f"nameserver {_DNS_ADDRESS}\n"),
        ("Corefile", settings.dns(plane.kubeconfig, _DNS_ADDRESS)),
    ):
        (node.folder / name).parent.mkdir(exist_ok=True)
        (node.folder / name).write_text(text)
    _start_runtime(node, plane, socket, archives)
    processes.start(
        "kube-proxy", binaries.path("kube-proxy"), f"--config={node.folder / 'proxy.json'}", before=node.inside
    )
    processes.start("coredns", binaries.path("coredns"), "-conf", node.folder / "Corefile")
    processes.start(
        "kubelet",
        binaries.path("kubelet"),
        f"--config={node.folder / 'kubelet.json'}",
        f"--kubeconfig={plane.kubeconfig_for(f'system:node:{NODE}', 'system:nodes')}",
        f"--node-ip={_NODE_ADDRESS}",
        f"--hostname-override={NODE}",
        f"--root-dir={node.folder / 'kubelet'}",
        f"--cert-dir={node.folder / 'kubelet-identity'}",
        before=node.inside,
    )
    here = free_ports(1)[0]
    processes.start("door", *_door(node, here, "127.0.0.1", _PLACE.port), before=())
    _await_door(processes, "door", here)
    admin = plane.authority.client("outside", "system:masters")
    outside = plane.authority.kubeconfig(node.folder / "outside.kubeconfig", admin, f"https://127.0.0.1:{here}")
    cluster = Cluster(outside, binaries, node.folder / "scratch")
    processes.wait_for("kubelet", "the node was there", lambda: cluster.get("node", NODE) is not None, within_s=60)
    cluster.wait("condition=Ready", f"node/{NODE}")
    return NodeCluster(cluster, plane, node, processes)


def _start_runtime(node: Machine, plane: ControlPlane, socket: Path, archives: Sequence[Path]) -> None:
    """Start containerd with our images.

    It keeps them from one run to the next, since unpacking them takes longer than all else. What an earlier run left
    of containers is removed by a first containerd, which runs outside of the machine so that it can be ended.
    """
    processes, store = plane.processes, _store()
    if not any(store.glob("*.imported")):
        shutil.rmtree(store, ignore_errors=True)

    def start(*before: str) -> None:
        socket.unlink(missing_ok=True)
        configured = f"--config={node.folder / 'containerd.toml'}"
        processes.start("containerd", plane.binaries.path("containerd"), configured, before=before)
        processes.wait_for("containerd", "it answered", socket.exists, within_s=30)

    def ctr(*arguments: str) -> str:
        return node.run("ctr", f"--address={socket}", "--namespace=k8s.io", *arguments)

    start(*node.network)
    if left := ctr("containers", "list", "--quiet").split():
        ctr("containers", "delete", *left)
    for archive in archives:
        imported = store / f"{archive.stem}.imported"
        if not imported.exists():
            for earlier in store.glob(f"{archive.stem.rpartition('-')[0]}-{'?' * 12}.imported"):
                earlier.unlink()
            ctr("images", "import", str(archive))
            imported.touch()
    processes.stop("containerd")
    for pods in ("sandboxes", "containers"):
        shutil.rmtree(store / "io.containerd.grpc.v1.cri" / pods, ignore_errors=True)
    start(*node.inside)


def _store() -> Path:
    """Where containerd keeps images."""
    return cache() / "containerd"


def _door(node: Machine, port: int, host: str, host_port: int) -> list[str | Path]:
    script = Path(__file__).with_name("cluster_door.py")
    return [sys.executable, script, str(node.pid), str(port), host, str(host_port)]


def _await_door(processes: Processes, name: str, port: int) -> None:
    listening = f"0100007F:{port:04X} 00000000:0000 0A"  # the kernel's list; a connection would already go through
    processes.wait_for(name, "it listened", lambda: listening in Path("/proc/net/tcp").read_text(), within_s=10)
