"""Discovery against an API server that forgets, breaks off, refuses and restarts."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from autellix_core.program import EngineId
from autellix_gateway.engines.kubernetes import Discovery, NoCluster
from autellix_gateway.engines.registry import Engine, Engines
from autellix_gateway.engines.watches import Pauses
from eventually import eventually
from gateway_api_server import POOLS, SLICES, ApiServer, a_pool, a_slice, kubeconfig
from gateway_engines import SaidEngines
from scripted_engine import served

HASTY = Pauses(first_s=0.01, longest_s=0.05)


@dataclass
class Discovered:
    """An API server, and what discovery made of it."""

    server: ApiServer
    engines: Engines
    url: str

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def engine(self, pod: str) -> Engine | None:
        return self.engines.get(EngineId(pod))

    async def are(self, *pods: str) -> None:
        """Wait until exactly these engines are known."""

        async def known() -> bool:
            return sorted(engine.id for engine in self.engines.all()) == sorted(pods)

        await eventually(known, f"the engines are {pods}")

    async def watching(self, watches: int = 2) -> None:
        """Wait until so many watches are open."""

        async def open_() -> bool:
            return self.server.watching == watches

        await eventually(open_, f"{watches} watches are open")


@asynccontextmanager
async def discovered(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discovered]:
    async with served(server.app) as url:
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", url)))
        engines = Engines(SaidEngines())
        async with following(engines):
            yield Discovered(server, engines, url)


@asynccontextmanager
async def following(engines: Engines) -> AsyncIterator[None]:
    discovery = Discovery(engines, "agents", pauses=HASTY)
    await discovery.connect()
    task = asyncio.create_task(discovery.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})
        await discovery.close()


@pytest.fixture
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Discovered]:
    """One pool of one engine, known."""
    server = ApiServer()
    server.put(POOLS, a_pool())
    server.put(SLICES, a_slice("tiny-a", "http://10.0.0.1:8000"))
    async with discovered(server, tmp_path, monkeypatch) as cluster:
        await cluster.are("tiny-a")
        await cluster.watching()
        yield cluster


async def test_it_asks_for_its_own_namespace_as_whom_it_was_told_to(cluster: Discovered) -> None:
    assert {query["authorization"].lower() for query in cluster.server.asked} == {"bearer a-token"}
    selectors = {(query["plural"], query.get("labelSelector")) for query in cluster.server.asked}
    assert selectors == {(POOLS, None), (SLICES, "autellix.dev/pool")}
    assert all(query["allowWatchBookmarks"] == "true" for query in cluster.server.asked if "watch" in query)


async def test_what_is_added_changed_and_deleted_is_followed(cluster: Discovered) -> None:
    cluster.server.put(SLICES, a_slice("tiny-b", "http://10.0.0.2:8000"))
    await cluster.are("tiny-a", "tiny-b")
    cluster.server.put(SLICES, a_slice("tiny-b", "http://10.0.0.2:8000", ready=False, terminating=True))
    cluster.server.put(POOLS, a_pool(draining=("tiny-a",), seconds=7))

    async def changed() -> bool:
        a, b = cluster.engine("tiny-a"), cluster.engine("tiny-b")
        return a is not None and a.draining and b is not None and not b.accepts

    await eventually(changed, "one drains and one ends")
    [pool] = cluster.engines.all_pools()
    assert (pool.name, pool.model, pool.hold_s) == ("tiny", "scripted", 7.0)
    cluster.server.delete(SLICES, "tiny-b")
    await cluster.are("tiny-a")
    cluster.server.delete(POOLS, "tiny")

    async def no_pool() -> bool:
        return not cluster.engines.all_pools()

    await eventually(no_pool, "the pool is gone")
    assert (cluster.server.lists(POOLS), cluster.server.lists(SLICES)) == (1, 1)


@pytest.mark.parametrize("broken", [False, True], ids=["ends", "breaks-off"])
async def test_a_watch_that_ends_goes_on_where_it_was(cluster: Discovered, broken: bool) -> None:
    cluster.server.put(SLICES, a_slice("tiny-b", "http://10.0.0.2:8000"))
    await cluster.are("tiny-a", "tiny-b")
    heard = cluster.server.version
    cluster.server.end_watches(broken=broken)
    cluster.server.delete(SLICES, "tiny-a")
    await cluster.are("tiny-b")
    assert cluster.server.watches(SLICES)[-1] == str(heard)
    assert cluster.server.lists(SLICES) == 1, "nothing is listed anew"


async def test_a_bookmark_moves_on_where_a_watch_begins_again(cluster: Discovered) -> None:
    for _ in range(3):
        cluster.server.put(POOLS, a_pool())
    cluster.server.bookmark(SLICES)
    marked = cluster.server.version
    cluster.server.put(POOLS, a_pool(seconds=9))

    async def told() -> bool:
        return cluster.engines.all_pools()[0].hold_s == 9

    await eventually(told, "the pools' watch is as far")
    await asyncio.sleep(0.05)
    cluster.server.end_watches()
    await eventually(lambda: _watched(cluster, 2), "the watch began again")
    assert cluster.server.watches(SLICES)[-1] == str(marked)
    assert cluster.server.lists(SLICES) == 1


async def _watched(cluster: Discovered, times: int) -> bool:
    return len(cluster.server.watches(SLICES)) >= times


@pytest.mark.parametrize("how", ["as-an-event", "as-a-status", "in-the-middle"])
async def test_a_version_that_is_gone_has_everything_listed_anew(
    cluster: Discovered, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    if how == "in-the-middle":
        cluster.server.error(SLICES, 410)
    else:
        if how == "as-a-status":
            cluster.server.status["watch"] = 410
        cluster.server.end_watches()
        # What happened while nobody watched is not in the history any more.
        cluster.server.put(SLICES, a_slice("tiny-c", "http://10.0.0.3:8000"))
        cluster.server.delete(SLICES, "tiny-a")
        cluster.server.put(POOLS, a_pool())
        cluster.server.forget_history()
        await cluster.are("tiny-c")
    await eventually(lambda: _listed(cluster, 2), "everything was listed anew")
    cluster.server.status.clear()
    await cluster.watching()
    cluster.server.put(SLICES, a_slice("tiny-d", "http://10.0.0.4:8000"))
    await eventually(lambda: _has(cluster, "tiny-d"), "it is followed on")
    assert not caplog.records, "that is the usual course of things"


async def _listed(cluster: Discovered, times: int) -> bool:
    return cluster.server.lists(SLICES) >= times


async def _has(cluster: Discovered, pod: str) -> bool:
    return cluster.engine(pod) is not None


async def test_while_the_api_server_is_away_what_was_known_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "autellix_gateway.engines.watches")
    before = ApiServer()
    before.put(POOLS, a_pool())
    before.put(SLICES, a_slice("tiny-a", "http://10.0.0.1:8000"))
    engines = Engines(SaidEngines())
    async with AsyncExitStack() as stack:
        async with served(before.app) as url:
            monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", url)))
            await stack.enter_async_context(following(engines))
            cluster = Discovered(before, engines, url)
            await cluster.are("tiny-a")
            await cluster.watching()
        await eventually(lambda: _away(caplog), "its absence is told of")
        await asyncio.sleep(0.3)  # many attempts
        assert cluster.engine("tiny-a") is not None
        assert len(engines.all_pools()) == 1
        # It comes back with another history, in which the old version is not known.
        after = ApiServer()
        after.version = after.oldest = 1000
        after.put(SLICES, a_slice("tiny-b", "http://10.0.0.2:8000"))
        async with served(after.app, port=cluster.port):
            cluster = Discovered(after, engines, url)
            await cluster.are("tiny-b")
            await cluster.watching()
            said = [record.getMessage() for record in caplog.records]
            assert sum("does not tell of" in line for line in said) == 2, "once a kind, however many attempts"
            assert sum("tells of" in line and "again" in line for line in said) == 2
            await stack.aclose()


async def _away(caplog: pytest.LogCaptureFixture) -> bool:
    return sum("does not tell of" in record.getMessage() for record in caplog.records) == 2


@pytest.mark.parametrize(
    ("status", "says"), [(403, "service account"), (404, "CustomResourceDefinition"), (500, "status 500")]
)
async def test_a_refusal_says_what_to_do_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int, says: str
) -> None:
    server = ApiServer()
    server.put(SLICES, a_slice("tiny-a", "http://10.0.0.1:8000"))
    server.status["list"] = status
    async with discovered(server, tmp_path, monkeypatch) as cluster:
        await eventually(lambda: _listed(cluster, 4), "it tries again")
        refusals = [record.getMessage() for record in caplog.records if "does not tell of" in record.getMessage()]
        assert len(refusals) == 2
        assert all(says in line for line in refusals)
        server.status.clear()
        await cluster.are("tiny-a")


async def test_a_watch_that_the_server_ends_with_an_error_goes_on(
    cluster: Discovered, caplog: pytest.LogCaptureFixture
) -> None:
    cluster.server.error(SLICES, 500)
    await eventually(lambda: _watched(cluster, 2), "the watch began again")
    assert "no more" in caplog.text
    cluster.server.put(SLICES, a_slice("tiny-b", "http://10.0.0.2:8000"))
    await cluster.are("tiny-a", "tiny-b")


async def test_without_a_cluster_there_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(NoCluster, match="set KUBECONFIG"):
        await Discovery(Engines(SaidEngines()), "agents").connect()
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    with pytest.raises(NoCluster, match="service account"):
        await Discovery(Engines(SaidEngines()), "agents").connect()
