"""What the parts of a node are told: containerd, the pods' network, kubelet, kube-proxy and CoreDNS."""

import json
from pathlib import Path
from typing import Any

__all__ = ["containerd", "dns", "kube_proxy", "kubelet", "pod_network"]


def containerd(folder: Path, socket: Path, *, store: Path, pause: str, plugins: Path, runc: Path) -> str:
    """The settings of a containerd 1.6 or 1.7 that keeps images in ``store`` and all else in ``folder``."""
    cri = '"io.containerd.grpc.v1.cri"'
    tables: dict[str, dict[str, Any]] = {
        "": {"version": 2, "root": str(store), "state": f"{folder}/containerd"},
        "grpc": {"address": str(socket)},
        f"plugins.{cri}": {
            "sandbox_image": pause,
            # Lowering oom_score_adj asks for a capability that root in a container or small VM often lacks.
            "restrict_oom_score_adj": True,
            "netns_mounts_under_state_dir": True,
        },
        f"plugins.{cri}.cni": {"bin_dir": str(plugins), "conf_dir": f"{folder}/cni"},
        f"plugins.{cri}.containerd.runtimes.runc": {"runtime_type": "io.containerd.runc.v2"},
        f"plugins.{cri}.containerd.runtimes.runc.options": {"BinaryName": str(runc), "SystemdCgroup": False},
    }
    lines: list[str] = []
    for table, values in tables.items():
        lines += [f"[{table}]"] * bool(table)
        lines += [f"{name} = {json.dumps(value)}" for name, value in values.items()]  # such values are TOML too
    return "\n".join(lines) + "\n"


def pod_network(folder: Path, pods: str) -> dict[str, Any]:
    """A pair of interfaces for each pod, without a bridge, which would ask for one more kernel module."""
    addresses = {"type": "host-local", "dataDir": f"{folder}/addresses", "ranges": [[{"subnet": pods}]]}
    return {
        "cniVersion": "1.0.0",
        "name": "pods",
        "plugins": [
            {"type": "ptp", "ipam": {**addresses, "routes": [{"dst": "0.0.0.0/0"}]}},
            {"type": "portmap", "capabilities": {"portMappings": True}},
        ],
    }


def kubelet(folder: Path, socket: Path, *, authority: Path, dns_address: str, cgroup: str) -> dict[str, Any]:
    """A KubeletConfiguration; it evicts nothing before the disk is all but full."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": f"unix://{socket}",
        "clusterDNS": [dns_address],
        "clusterDomain": "cluster.local",
        "resolvConf": f"{folder}/resolv.conf",
        "podLogsDir": f"{folder}/pod-logs",
        "volumePluginDir": f"{folder}/volume-plugins",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(authority)},
        },
        "authorization": {"mode": "Webhook"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {
            "memory.available": "100Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
            "nodefs.inodesFree": "1%",
        },
        "maxPods": 200,
        "syncFrequency": "10s",
        "nodeStatusUpdateFrequency": "5s",
    }


def kube_proxy(kubeconfig: Path, pods: str, node: str) -> dict[str, Any]:
    """A KubeProxyConfiguration. Limits of conntrack can only be set for a whole machine, so they are left alone."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "hostnameOverride": node,
        "clusterCIDR": pods,
        "oomScoreAdj": 0,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }


def dns(kubeconfig: Path, address: str) -> str:
    """A Corefile that knows the cluster's names and no other."""
    return f""".:53 {{
    bind {address}
    errors
    health 127.0.0.1:8080
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig}
    }}
    cache 2
}}
"""
