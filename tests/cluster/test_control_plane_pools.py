"""EnginePools on a real API server, with real controllers and pods that run nothing: which engine goes, and when."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

import autellix_operator
from autellix_core.pools import EngineJSON, PoolJSON, PoolsJSON
from autellix_operator.apiserver import ApiServer
from autellix_operator.cluster import ENGINE_POOL
from autellix_operator.engines.reconciling import EnginePools
from cluster_access import Cluster
from cluster_kwok import TOLERATION, FakeNodes

CRDS = Path(autellix_operator.__file__).parent / "crds"
WITHIN_S = 60.0


class Gateways:
    """Say what the test wants of engines that the pool really has; they read which of them drain."""

    def __init__(self, cluster: ApiServer, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.calls: dict[str, int] = {}
        self.cached: dict[str, int] = {}
        self.names: list[str] = []

    async def __call__(self) -> PoolsJSON:
        pool = await self._cluster.get(ENGINE_POOL, self._namespace, "tiny") or {}
        draining = {entry["engine"] for entry in pool.get("status", {}).get("draining", ())}
        engines = [
            EngineJSON(
                id=name,
                ready=True,
                draining=name in draining,
                calls=self.calls.get(name, 0),
                slots=8,
                wait_seconds=0.0,
                programs=0,
                cached_tokens=self.cached.get(name, 0),
            )
            for name in self.names
        ]
        known = PoolJSON(
            name="tiny",
            model="tiny",
            held=0,
            longest_held_seconds=0.0,
            active=sum(self.calls.values()),
            returning=0,
            engines=engines,
        )
        return PoolsJSON(at=time.time(), gateways=1, shared=True, pools=[known])


class Stage:
    """A pool in a namespace that enforces the restricted standard, and an operator that is asked to look at it."""

    def __init__(self, cluster: Cluster, server: ApiServer, namespace: str) -> None:
        self.cluster, self.server, self.namespace = cluster, server, namespace
        self.gateways = Gateways(server, namespace)
        self.fresh()

    def fresh(self) -> None:
        """An operator that remembers nothing."""
        self.pools = EnginePools(self.server, self.gateways, now=time.time, status_interval_s=0.0)

    def apply(self, **scaling: Any) -> None:
        body = {
            "apiVersion": "autellix.dev/v1alpha1",
            "kind": "EnginePool",
            "metadata": {"name": "tiny"},
            "spec": {
                "model": {"name": "tiny"},
                "engine": {"kind": "sim", "image": "localhost/nothing", "slots": 8},
                "podTemplate": {"nodeSelector": {"type": "kwok"}, "tolerations": [dict(TOLERATION)]},
                "scaling": {"stabilizationSeconds": 2, **scaling},
            },
        }
        self.cluster.apply(body, namespace=self.namespace)

    @property
    def status(self) -> dict[str, Any]:
        found = self.cluster.get("epool", "tiny", self.namespace) or {}
        status: dict[str, Any] = found.get("status", {})
        return status

    def pods(self) -> list[str]:
        found = self.cluster.objects("pod", self.namespace, labels="autellix.dev/pool=tiny")
        return sorted(pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"])

    async def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Look at the pool until this holds."""
        end = time.monotonic() + WITHIN_S
        while True:
            self.gateways.names = self.pods()
            await self.pools.reconcile(self.namespace, "tiny")
            if holds():
                return
            assert time.monotonic() < end, f"{WITHIN_S:.0f} s passed before {what}: {self.status}"
            await asyncio.sleep(0.2)


@pytest.fixture
def place(control_plane: Cluster, kwok: FakeNodes) -> Iterator[str]:
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    control_plane.wait("condition=Established", "crd/enginepools.autellix.dev")
    with control_plane.namespace("pools") as name, _nodes(kwok):
        control_plane.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
        yield name


@contextmanager
def _nodes(kwok: FakeNodes) -> Iterator[None]:
    names = kwok.make(2)
    try:
        yield
    finally:
        kwok.remove(*names)


async def test_a_pool_grows_with_its_calls_and_gives_up_the_engine_that_has_the_least_to_lose(
    control_plane: Cluster, place: str
) -> None:
    async with ApiServer(await _administrator(control_plane)) as server:
        stage = Stage(control_plane, server, place)
        stage.apply(maxReplicas=3)
        await stage.until("one engine was ready", lambda: stage.status.get("readyReplicas") == 1)
        (first,) = stage.pods()
        stage.gateways.calls = {first: 20}
        await stage.until("three engines were ready", lambda: stage.status.get("readyReplicas") == 3)

        names = stage.pods()
        least = next(name for name in reversed(names) if name != first)
        stage.gateways.cached = {name: 10 if name == least else 900 for name in names}
        stage.gateways.calls = {first: 8, least: 1}
        await stage.until("one of them drained", lambda: bool(stage.status.get("draining")))
        assert [entry["engine"] for entry in stage.status["draining"]] == [least]
        assert stage.pods() == names, "it has a call yet"

        stage.fresh()
        stage.gateways.calls = {first: 9}
        await stage.until("it was gone", lambda: least not in stage.pods())
        await stage.until("that was said", lambda: not stage.status.get("draining"))
        assert stage.pods() == [name for name in names if name != least]
        told = control_plane.objects("events.events.k8s.io", place)
        assert {"ScaledUp", "Draining", "ScaledDown", "EngineGone"} <= {event["reason"] for event in told}


async def test_an_autoscaler_writes_through_the_scale_subresource_and_the_pool_drains_all_the_same(
    control_plane: Cluster, place: str
) -> None:
    async with ApiServer(await _administrator(control_plane)) as server:
        stage = Stage(control_plane, server, place)
        stage.apply(mode="External", drainSeconds=600)
        control_plane.kubectl("scale", "epool/tiny", "--replicas=2", namespace=place)
        await stage.until("two engines were ready", lambda: stage.status.get("readyReplicas") == 2)
        first, second = stage.pods()
        stage.gateways.calls = {first: 1, second: 2}
        control_plane.kubectl("scale", "epool/tiny", "--replicas=1", namespace=place)
        await stage.until("one of them drained", lambda: bool(stage.status.get("draining")))
        assert [entry["engine"] for entry in stage.status["draining"]] == [first]
        assert stage.pods() == [first, second]
        stage.gateways.calls = {second: 2}
        await stage.until("it was gone", lambda: stage.pods() == [second])


async def _administrator(cluster: Cluster) -> Configuration:
    loaded = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(cluster.kubeconfig), context=cluster.context, client_configuration=loaded
    )
    return loaded
