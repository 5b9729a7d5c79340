"""The operator with 500 engines and 20,000 programs, 1,000 of them with an object: what it writes, holds, is behind.

Redis, gateway and operator are real, and so is the API; the engines are pods that run nothing, so another gateway's
word in the table says that they are reached.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from kubernetes.aio import config
from kubernetes.aio.client import Configuration

import autellix_operator
from autellix_core.pools import POOL_LABEL
from autellix_core.program import Program
from autellix_gateway.table.protocol import Limits
from autellix_gateway.table.redis import connect
from autellix_operator.apiserver import ApiServer
from autellix_operator.cluster import ENGINE_POOL, POD, PROGRAM_SESSION
from cluster_access import Cluster
from cluster_control_plane import ControlPlane
from cluster_kwok import TOLERATION, FakeNodes
from cluster_processes import free_ports
from gateway_process import gateway_process
from operator_crowd import Crowd, filled, said_by_another_gateway
from operator_meter import Meter
from operator_process import KEY, OperatorProcess, rights
from redis_server import redis_server

CRDS = Path(autellix_operator.__file__).parent / "crds"
POOLS = ("large", "small")
ENGINES = 500
PROGRAMS = 20_000
SHOWN = 1_000
BUSY, CALLS_PER_S = 100, 40.0
"""Programs that have calls all the time, and how many together: each has two while its status may be written once."""
WINDOW_S = 30.0
STATUS_INTERVAL_S, POLL_S, WRITES_PER_S = 5.0, 2.0, 50.0
MARGIN_S = 3.0
"""For what a machine of two cores takes to poll, write and list while all of a cluster runs on it."""
MEMORY = 256 * 2**20
"""Half of the chart's limit, and twice what was measured."""
QUIET_WRITES_PER_S = 1.0
"""The lease is renewed every three seconds, and the pools' counts of programs that may return go down for a while."""


class Stage:
    """The parts that are there all the time, and operators that the test starts."""

    def __init__(
        self, cluster: Cluster, server: ApiServer, redis: str, namespace: str, kubeconfig: Path, gateway: str
    ) -> None:
        self.server, self.redis, self.namespace = server, redis, namespace
        self.table = connect(redis, "default", Limits(), timeout_s=30.0)
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._gateway = gateway

    @contextmanager
    def operator(self, log: Path, *, writes_per_s: float) -> Iterator[Meter]:
        """One that leads soon, with the settings that it has of itself but for the pace of its writes."""
        (port,) = free_ports(1)
        process = OperatorProcess(
            self._kubeconfig,
            log,
            namespace=self.namespace,
            gateway_url=self._gateway,
            identity=log.stem,
            health_port=port,
            poll_interval_s=POLL_S,
            status_interval_s=STATUS_INTERVAL_S,
            writes_per_s=writes_per_s,
            lease_s=15,
        )
        try:
            yield Meter(self._cluster, process.pid, port)
            assert process.stop() == 0
            assert "Traceback" not in log.read_text()
        finally:
            if process.running():
                process.kill()

    async def ready(self) -> int:
        """Engines that the pools' statuses say are ready."""
        pools = await self.server.list(ENGINE_POOL, self.namespace)
        return sum(pool.get("status", {}).get("readyReplicas", 0) for pool in pools)

    async def engines(self) -> dict[str, list[str]]:
        """By pool."""
        return {pool: [pod["metadata"]["name"] for pod in await self._pods(pool)] for pool in POOLS}

    async def _pods(self, pool: str) -> list[dict[str, Any]]:
        return await self.server.list(POD, self.namespace, labels={POOL_LABEL: pool})

    async def objects(self) -> dict[str, dict[str, Any]]:
        """Those of programs, by program."""
        found = await self.server.list(PROGRAM_SESSION, self.namespace)
        return {each["spec"]["programId"]: each for each in found}

    async def differing(self) -> list[str]:
        """Programs of which an object says something else than the table."""
        objects = await self.objects()
        rows = {row.id: row for row in await self.table.programs(tenant="crowd", limit=2 * SHOWN)}
        assert rows.keys() == objects.keys()
        return [program for program, row in rows.items() if not _same(objects[program]["status"], row)]


@asynccontextmanager
async def staged(cluster: Cluster, plane: ControlPlane) -> AsyncIterator[Stage]:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", f"--filename={CRDS}")
    cluster.wait("condition=Established", "crd/programsessions.autellix.dev", "crd/enginepools.autellix.dev")
    async with AsyncExitStack() as stack:
        namespace = stack.enter_context(cluster.namespace("scale"))
        user = f"operator-of-{namespace}"
        cluster.apply(*rights(user, namespace))
        redis = stack.enter_context(redis_server())
        gateway = await stack.enter_async_context(
            gateway_process(
                *("--redis-url", redis.url, "--table-timeout-s", "10", "--engines", "http://127.0.0.1:9"),
                *("--log-level", "error"),
                env={"AUTELLIX_OPERATOR_KEY": KEY},
                engines=False,
            )
        )
        server = await stack.enter_async_context(ApiServer(await _administrator(cluster)))
        url = str(gateway.http.base_url)
        stage = Stage(cluster, server, redis.url, namespace, plane.kubeconfig_for(user), url)
        stack.push_async_callback(stage.table.close)
        yield stage


@pytest.mark.timeout(400, func_only=True)
async def test_a_crowd_costs_few_writes_and_little_memory_and_no_status_is_old(
    control_plane: Cluster, api_server: ControlPlane, kwok: FakeNodes, tmp_path: Path
) -> None:
    kwok.make(3)
    async with staged(control_plane, api_server) as stage, asyncio.TaskGroup() as background:
        control_plane.apply(*(_pool(name) for name in POOLS), namespace=stage.namespace)
        with stage.operator(tmp_path / "first.log", writes_per_s=4 * WRITES_PER_S) as meter:
            await filled(stage.redis, "default", model="tiny", count=PROGRAMS - SHOWN)
            await until(ENGINES, "engines that are ready", stage.ready)
            engines = await stage.engines()
            word = background.create_task(said_by_another_gateway(stage.table, engines, model="tiny"))
            names = [f"crowd-{number}" for number in range(SHOWN)]
            crowd = Crowd(stage.table, names, [name for pool in engines.values() for name in pool], model="tiny")
            await crowd.begin()
            await until(SHOWN, "programs that are shown", lambda: _mirrored(meter))

        with stage.operator(tmp_path / "second.log", writes_per_s=WRITES_PER_S) as meter:
            await until(SHOWN, "programs that are shown and that the next operator has seen", lambda: _mirrored(meter))
            assert len(await stage.table.programs(limit=2 * PROGRAMS)) == PROGRAMS
            busy = names[:: SHOWN // BUSY]
            load = background.create_task(crowd.go_on(busy, per_s=CALLS_PER_S, for_s=WINDOW_S + 2.0))
            looks = background.create_task(_looks(stage, crowd, for_s=WINDOW_S))
            window = await meter.over(WINDOW_S)
            behind_s, apart_s = await looks
            print(f"busy, {window}; the oldest status is {behind_s:.1f} s behind")  # noqa: T201 - shown with -s
            statuses = window.writes["apply status", PROGRAM_SESSION.kind]
            assert abs(window.statuses - statuses) <= WRITES_PER_S, "the API server's count, at almost the same instant"
            assert statuses >= BUSY * (WINDOW_S // (STATUS_INTERVAL_S + POLL_S + MARGIN_S))
            assert statuses <= BUSY * (window.seconds // STATUS_INTERVAL_S + 1)
            assert window.writes_per_s <= WRITES_PER_S
            assert window.lag_s <= STATUS_INTERVAL_S
            assert behind_s <= STATUS_INTERVAL_S + POLL_S + MARGIN_S
            assert apart_s > STATUS_INTERVAL_S - 1.0, "they are stamped in whole seconds"
            assert window.rss < MEMORY

            calls = await load
            await asyncio.sleep(STATUS_INTERVAL_S + POLL_S + MARGIN_S)
            assert await stage.differing() == []
            assert calls > BUSY

            window = await meter.over(WINDOW_S)
            print(f"quiet, {window}")  # noqa: T201
            assert window.writes_per_s < QUIET_WRITES_PER_S
            assert window.writes["apply status", PROGRAM_SESSION.kind] == window.statuses == 0
            assert window.rss < MEMORY
            assert await stage.differing() == []
            assert await stage.ready() == ENGINES
        word.cancel()


async def until(count: int, what: str, now: Callable[[], Awaitable[int]], *, within_s: float = 150.0) -> None:
    """Wait until so many of something are there."""
    end = time.monotonic() + within_s
    while (there := await now()) != count:
        assert time.monotonic() < end, f"{within_s:.0f} s passed and there are {there} {what}, not {count}"
        await asyncio.sleep(1.0)


async def _mirrored(meter: Meter) -> int:
    """Programs that an operator shows, less those that it has yet to look at."""
    with suppress(OSError):
        gauges = await meter.gauges()
        return int(gauges.get("programs_mirrored", 0) - gauges.get("reconcile_waiting", 0))
    return 0


async def _looks(stage: Stage, crowd: Crowd, *, for_s: float) -> tuple[float, float]:
    """Of all objects at many looks: for how long the one that was behind most has been so, and the least time between
    two statuses of one object."""
    end, behind_s, apart_s = time.monotonic() + for_s, 0.0, math.inf
    written: dict[str, float] = {}
    while (at := time.monotonic()) < end:
        for name, found in (await stage.objects()).items():
            behind_s = max(behind_s, crowd.behind_s(name, found["status"]["serviceSeconds"], at=at))
            stamps = (entry["time"] for entry in found["metadata"]["managedFields"] if "subresource" in entry)
            written_s = max(datetime.fromisoformat(stamp).timestamp() for stamp in stamps)
            if written_s > written.setdefault(name, written_s):
                apart_s = min(apart_s, written_s - written[name])
                written[name] = written_s
        await asyncio.sleep(1.5)
    return behind_s, apart_s


def _same(status: dict[str, Any], row: Program) -> bool:
    return (
        status["state"] == "idle"
        and status["calls"] == row.calls
        and "activeCalls" in status
        and status["activeCalls"] == len(row.threads) == 0
        and status["serviceSeconds"] == round(row.service_s, 3)
        and status["waitSeconds"] == round(row.wait_s, 3)
        and status["criticalPathSeconds"] == round(row.critical_path_s, 3)
        and status["promptTokens"] == row.prompt_tokens
        and status["outputTokens"] == row.output_tokens
        and status["engine"] == row.home
    )


def _pool(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": "EnginePool",
        "metadata": {"name": name},
        "spec": {
            "model": {"name": "tiny"},
            "engine": {"kind": "sim", "image": "localhost/nothing", "slots": 8},
            "podTemplate": {"nodeSelector": {"type": "kwok"}, "tolerations": [dict(TOLERATION)]},
            "scaling": {"minReplicas": ENGINES // 2, "maxReplicas": ENGINES // 2},
        },
    }


async def _administrator(cluster: Cluster) -> Configuration:
    loaded = Configuration()
    await config.load_kube_config(  # type: ignore[no-untyped-call]
        config_file=str(cluster.kubeconfig), context=cluster.context, client_configuration=loaded
    )
    return loaded
