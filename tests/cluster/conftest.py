"""Clusters for tests: a control plane alone, fake nodes on top of it, and a cluster with a real node.

``pytest tests/cluster``; docs/testing-cluster.md says what each asks of the machine.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster_access import Cluster
from cluster_binaries import Binaries, binaries, missing
from cluster_control_plane import ControlPlane, on_loopback
from cluster_given import given_cluster
from cluster_kwok import FakeNodes, fake_nodes
from cluster_node import NodeCluster
from cluster_node import node_cluster as start_node_cluster
from cluster_processes import Processes

_NEEDS = {"api_alone": "control_plane", "control_plane": "control_plane", "kwok": "kwok", "node_cluster": "node"}
"""Which mark a test gets that uses a fixture: ``-m 'not node'`` leaves out what asks for root."""
_TEST_S = 300


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kube-context", metavar="NAME", help="run the tests in this cluster of KUBECONFIG and start none"
    )


def pytest_configure(config: pytest.Config) -> None:
    for mark in sorted(set(_NEEDS.values())):
        config.addinivalue_line("markers", f"{mark}: uses such a fixture; set by itself")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by what they use, and sort them so: the node's cluster starts when the others are done."""
    here = [item for item in items if Path(__file__).parent in item.path.parents]
    for item in here:
        for fixture, mark in _NEEDS.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_TEST_S, func_only=True))  # a cluster may be built in a fixture
    items.sort(key=lambda item: item.get_closest_marker("node") is not None)


@pytest.fixture(scope="session")
def kube_binaries() -> Binaries:
    return binaries()


@pytest.fixture(scope="session")
def _given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cluster | None:
    context = request.config.getoption("--kube-context")
    return given_cluster(context, tmp_path_factory.mktemp("given")) if context else None


@pytest.fixture(scope="session")
def _own(
    _given: Cluster | None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[ControlPlane, Cluster] | None]:
    if _given is not None:
        yield None
        return
    folder = tmp_path_factory.mktemp("control-plane")
    plane = ControlPlane(folder, binaries(), Processes(folder / "logs"), on_loopback())
    with plane.running() as cluster:
        yield plane, cluster


@pytest.fixture(scope="session")
def control_plane(_given: Cluster | None, _own: tuple[ControlPlane, Cluster] | None) -> Cluster:
    """An API server with controllers and scheduler but no node, so pods are made and stay pending."""
    cluster = _given if _own is None else _own[1]
    assert cluster is not None
    if not cluster.controllers:
        missing(
            "KUBEBUILDER_ASSETS holds no kube-controller-manager and kube-scheduler; the fixture api_alone needs none."
        )
    return cluster


@pytest.fixture(scope="session")
def api_alone(_given: Cluster | None, _own: tuple[ControlPlane, Cluster] | None) -> Cluster:
    """The same, where it need not have controllers: objects can be stored and watched."""
    cluster = _given if _own is None else _own[1]
    assert cluster is not None
    return cluster


@pytest.fixture
def api_server(_own: tuple[ControlPlane, Cluster] | None) -> ControlPlane:
    """To stop and start the API server of :func:`control_plane` while what it knows stays."""
    if _own is None:
        pytest.skip("The API server of a cluster that was given with --kube-context is not ours to stop.")
    return _own[0]


@pytest.fixture
def namespace(control_plane: Cluster) -> Iterator[str]:
    """A namespace of the control plane for one test."""
    with control_plane.namespace() as name:
        yield name


@pytest.fixture(scope="module")
def kwok(
    control_plane: Cluster, kube_binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeNodes]:
    """Fake nodes on the control plane, as many as a module's tests make; then they are gone."""
    with fake_nodes(control_plane, kube_binaries, tmp_path_factory.mktemp("kwok")) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def node_cluster(_given: Cluster | None) -> Iterator[NodeCluster]:
    """A cluster with a real node, which has our images (``cluster_images.IMAGES``)."""
    if _given is not None:
        pytest.skip("The tests that look into the node need one of their own; leave out --kube-context.")
    with start_node_cluster(binaries()) as started:
        yield started


@pytest.fixture
def node_namespace(node_cluster: NodeCluster) -> Iterator[str]:
    """A namespace of the cluster with a node, for one test."""
    with node_cluster.cluster.namespace() as name:
        yield name
