"""The cluster with a real node: images of ours run on it, find each other by name, and are looked after."""

import json
import urllib.request
from typing import Any

import pytest

from cluster_images import IMAGES
from cluster_node import NodeCluster

_LABELS = {"app": "engine"}
_SAFE = {
    "runAsNonRoot": True,
    "readOnlyRootFilesystem": True,
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}


def engines(replicas: int) -> list[dict[str, Any]]:
    """A Deployment of simulated engines, and the Service in front of it."""
    container = {
        "name": "engine",
        "image": IMAGES["engine-sim"],
        "args": ["--model=tiny"],
        "ports": [{"name": "http", "containerPort": 8000}],
        "readinessProbe": {"httpGet": {"path": "/health", "port": "http"}, "periodSeconds": 1},
        "securityContext": _SAFE,
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "engine"},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": _LABELS},
                "template": {
                    "metadata": {"labels": _LABELS},
                    "spec": {"containers": [container], "terminationGracePeriodSeconds": 20},
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "engine"},
            "spec": {"selector": _LABELS, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]},
        },
    ]


def pods(cluster: NodeCluster, namespace: str) -> list[str]:
    found = cluster.cluster.objects("pod", namespace, labels="app=engine")
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def test_engines_run_find_each_other_by_name_and_end_when_told(node_cluster: NodeCluster, node_namespace: str) -> None:
    api = node_cluster.cluster
    api.apply(*engines(2), namespace=node_namespace)
    api.wait("condition=Available", "deployment/engine", namespace=node_namespace)
    api.wait("jsonpath={.status.readyReplicas}=2", "deployment/engine", namespace=node_namespace)
    first, _ = pods(node_cluster, node_namespace)

    url = f"http://engine.{node_namespace}.svc.cluster.local/v1/models"
    ask = f"from urllib.request import urlopen; print(urlopen('{url}', timeout=20).read().decode())"
    said = api.until(  # the Service's rules come a moment after its pods are ready
        "the Service led to an engine",
        lambda: api.kubectl("exec", first, "--", "python3", "-c", ask, namespace=node_namespace),
    )
    assert [model["id"] for model in json.loads(said)["data"]] == ["tiny"]
    assert api.kubectl("exec", first, "--", "id", "-u", namespace=node_namespace).strip() == "10001"

    with node_cluster.door(node_cluster.service("engine", node_namespace), 80) as door:
        assert urllib.request.urlopen(f"{door}/health", timeout=20).status == 200
    with api.forwarded("service/engine", 80, node_namespace) as forwarded:
        assert urllib.request.urlopen(f"{forwarded}/health", timeout=20).status == 200

    api.delete("pod", first, node_namespace)  # waits; a process that hears no SIGTERM would be killed after 20 s
    events = api.objects("event", node_namespace)
    assert not [event for event in events if event["reason"] == "FailedKillPod"]
    api.until("there was another engine", lambda: len(pods(node_cluster, node_namespace)) == 2)


@pytest.mark.parametrize("image", ["gateway", "operator"])
def test_our_images_import_what_they_need(node_cluster: NodeCluster, node_namespace: str, image: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "once"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [
                {
                    "name": "once",
                    "image": IMAGES[image],
                    "command": [
                        "python3",
                        "-c",
                        f"import aiohttp, kubernetes, autellix_{image}, autellix_core; print('all')",
                    ],
                    "securityContext": _SAFE,
                }
            ],
        },
    }
    node_cluster.cluster.apply(pod, namespace=node_namespace)
    node_cluster.cluster.wait("jsonpath={.status.phase}=Succeeded", "pod/once", namespace=node_namespace)
    assert node_cluster.cluster.kubectl("logs", "once", namespace=node_namespace) == "all\n"


def test_redis_answers_and_a_resource_is_offered(node_cluster: NodeCluster, node_namespace: str) -> None:
    node_cluster.offer("nvidia.com/gpu", 1)
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "redis"},
        "spec": {
            "containers": [
                {"name": "redis", "image": IMAGES["redis"], "resources": {"limits": {"nvidia.com/gpu": "1"}}},
            ]
        },
    }
    api = node_cluster.cluster
    api.apply(pod, namespace=node_namespace)
    api.wait("condition=Ready", "pod/redis", namespace=node_namespace)
    assert api.kubectl("exec", "redis", "--", "redis-cli", "ping", namespace=node_namespace).strip() == "PONG"
