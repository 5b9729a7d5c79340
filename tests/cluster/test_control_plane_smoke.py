"""The control plane alone: it stores, its controllers and scheduler work, its API server goes away and comes back."""

from typing import Any

import pytest

from cluster_access import Cluster, Refused
from cluster_control_plane import ControlPlane
from cluster_kwok import TOLERATION, FakeNodes


def deployment(replicas: int, **pod: Any) -> dict[str, Any]:
    labels = {"app": "idle"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "idle"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "idle", "image": "localhost/idle"}], **pod},
            },
        },
    }


def test_what_is_stored_is_given_back_and_a_wrong_object_is_refused(api_alone: Cluster) -> None:
    settings = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"level": "1"}}
    with api_alone.namespace() as namespace:
        api_alone.apply(settings, namespace=namespace)
        found = api_alone.get("configmap", "settings", namespace)
        assert found is not None
        assert found["data"] == {"level": "1"}
        assert api_alone.get("configmap", "other", namespace) is None
        with pytest.raises(Refused, match=r"data\.level"):
            api_alone.apply({**settings, "data": {"level": {"not": "text"}}}, namespace=namespace)


def test_it_is_of_the_version_that_is_pinned(control_plane: Cluster) -> None:
    assert "Server Version: v1." in control_plane.kubectl("version")


def test_controllers_make_pods_that_no_node_takes(control_plane: Cluster, namespace: str) -> None:
    control_plane.apply(deployment(2), namespace=namespace)
    pods = control_plane.until(
        "there were two pods",
        lambda: len(found := control_plane.objects("pod", namespace, labels="app=idle")) == 2 and found,
    )
    control_plane.wait(
        "condition=PodScheduled=False", *(f"pod/{pod['metadata']['name']}" for pod in pods), namespace=namespace
    )


def test_the_api_server_goes_away_and_knows_everything_afterwards(
    control_plane: Cluster, api_server: ControlPlane, namespace: str
) -> None:
    control_plane.kubectl("create", "configmap", "kept", namespace=namespace)
    with api_server.api_server_away(), pytest.raises(Refused, match="refused"):
        control_plane.get("configmap", "kept", namespace)
    assert control_plane.get("configmap", "kept", namespace) is not None


def test_helm_installs_a_chart(control_plane: Cluster, namespace: str, tmp_path: Any) -> None:
    chart = tmp_path / "small"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: small\nversion: 0.1.0\nkubeVersion: '>=1.30'\n")
    (chart / "templates/map.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '{{ .Release.Name }}'}\ndata: {said: '{{ .Values.said }}'}\n"
    )
    control_plane.helm("install", "first", str(chart), "--set", "said=this", namespace=namespace)
    found = control_plane.get("configmap", "first", namespace)
    assert found is not None
    assert found["data"] == {"said": "this"}


def test_pods_on_fake_nodes_are_ready_and_their_gpus_are_counted(
    control_plane: Cluster, kwok: FakeNodes, namespace: str
) -> None:
    names = kwok.make(2, gpus=4)
    container = {"name": "idle", "image": "localhost/idle", "resources": {"limits": {"nvidia.com/gpu": "1"}}}
    many = deployment(9, containers=[container], nodeSelector={"type": "kwok"}, tolerations=[TOLERATION])
    control_plane.apply(many, namespace=namespace)
    control_plane.wait("jsonpath={.status.readyReplicas}=8", "deployment/idle", namespace=namespace)
    where = [pod["spec"].get("nodeName") for pod in control_plane.objects("pod", namespace, labels="app=idle")]
    assert sorted(filter(None, where)) == sorted(names * 4)
    assert where.count(None) == 1, "the ninth finds no GPU"
