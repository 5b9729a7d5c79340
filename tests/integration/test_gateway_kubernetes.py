"""A gateway in a cluster: its engines are pods that come and go, and a pool may have none for a while."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import redis

from autellix_core import wire
from autellix_core.pools import POOLS_PATH
from eventually import eventually
from gateway_api_server import POOLS, SLICES, ApiServer, a_pool, a_slice, kubeconfig
from gateway_fixtures import redis_for_gateways
from gateways import Gateway, gateway
from redis_server import RedisServer
from scripted_engine import ScriptedEngine, abrupt_engine, served

__all__ = ["redis_for_gateways"]

LONG = "w" * 4 * 4000
"""A prompt above the threshold: its program has a home."""
_POOL_NAMES = itertools.count()


@dataclass
class Cluster:
    """An API server with one pool, a gateway, and scripted engines by the names of their pods."""

    server: ApiServer
    gateway: Gateway
    stack: AsyncExitStack
    engines: dict[str, ScriptedEngine] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)

    async def start(self, pod: str, *, ready: bool = True) -> ScriptedEngine:
        """A pod that serves, and its endpoint."""
        engine = self.engines[pod] = ScriptedEngine()
        self.urls[pod] = await self.stack.enter_async_context(served(engine.app))
        self.condition(pod, ready=ready)
        if ready:
            await self.sees(pod, up=True, accepts=True)
        return engine

    def condition(self, pod: str, **conditions: Any) -> None:
        """Its endpoint's conditions."""
        self.server.put(SLICES, a_slice(pod, self.urls[pod], **conditions))

    async def state(self) -> dict[str, Any]:
        """What ``/readyz`` says."""
        return dict((await self.gateway.http.get("/readyz")).json())

    async def sees(self, pod: str, **fields: bool) -> None:
        """Wait until the gateway knows this of the engine."""

        async def known() -> bool:
            engine = (await self.state())["engines"].get(pod, {})
            return all(engine.get(name) == value for name, value in fields.items())

        await eventually(known, f"{pod} is {fields}")

    async def knows(self, *pods: str) -> None:
        """Wait until the gateway knows exactly these engines."""

        async def known() -> bool:
            return sorted((await self.state())["engines"]) == sorted(pods)

        await eventually(known, f"the engines are {pods}")

    async def holds(self, calls: int) -> None:
        """Wait until so many calls are held."""

        async def held() -> bool:
            return bool((await self.state())["pools"]["tiny"]["held"] == calls)

        await eventually(held, f"{calls} calls are held")

    async def long_call(self, session: dict[str, Any], **more: Any) -> httpx2.Response:
        """A long call of a session."""
        headers = {wire.SESSION_HEADER: session["token"]}
        messages = [{"role": "user", "content": LONG}]
        return await self.gateway.chat(messages=messages, headers=headers, **more)


@pytest.fixture
async def cluster(
    redis_for_gateways: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Cluster]:
    """A gateway that knows a pool without engines."""
    server = ApiServer()
    server.put(POOLS, a_pool())
    async with AsyncExitStack() as engines, AsyncExitStack() as stack:
        url = await stack.enter_async_context(served(server.app))
        monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", url)))
        table = f"cluster-{next(_POOL_NAMES)}"
        running = await stack.enter_async_context(
            gateway(
                redis_for_gateways.url,
                kubernetes_namespace="agents",
                pool=table,
                health_interval_s=0.05,
                operator_key="operator",
            )
        )
        cluster = Cluster(server, running, engines)

        async def knows() -> bool:
            return "tiny" in (await cluster.state())["pools"]

        await eventually(knows, "the pool is known")
        yield cluster
        with redis.Redis.from_url(redis_for_gateways.url) as client:

            async def clean() -> bool:
                held = client.hgetall(f"autellix:{{{table}}}:engines")
                assert isinstance(held, dict)
                return not any(map(int, held.values())) and not client.zcard(f"autellix:{{{table}}}:leases")

            await eventually(clean, "every call is settled")


async def test_an_engine_is_called_by_its_pods_name(cluster: Cluster) -> None:
    await cluster.start("tiny-a")
    answer = await cluster.gateway.chat()
    assert (answer.status_code, answer.headers[wire.ENGINE_HEADER]) == (200, "tiny-a")
    state = await cluster.state()
    assert (state["status"], state["engines"]["tiny-a"]["pool"]) == ("ready", "tiny")


async def test_calls_are_held_until_the_first_engine_of_a_pool_is_ready(cluster: Cluster) -> None:
    session = await cluster.gateway.session(json={"model": "scripted"})
    headers = {wire.SESSION_HEADER: session["token"]}
    held = [asyncio.create_task(cluster.gateway.chat({"wait_s": 0.0}, headers=headers)) for _ in range(3)]
    await cluster.holds(3)
    ready = await cluster.gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "holding")
    await cluster.start("tiny-a", ready=False)
    await cluster.sees("tiny-a", up=True, accepts=False)
    await cluster.holds(3)
    cluster.condition("tiny-a", ready=True)
    answers = await asyncio.gather(*held)
    assert [answer.status_code for answer in answers] == [200] * 3
    waited_s = [float(answer.headers[wire.WAIT_SECONDS_HEADER]) for answer in answers]
    assert min(waited_s) > 0, "the engine reported none: it is the wait here"
    shown = await cluster.gateway.shown(session["id"])
    assert shown["wait_seconds"] == pytest.approx(sum(waited_s), abs=1e-4)
    for seen, own_s in zip(
        sorted(float(headers[wire.PROGRAM_WAIT_HEADER]) for headers in cluster.engines["tiny-a"].seen),
        sorted(waited_s),
        strict=True,
    ):
        assert seen == pytest.approx(own_s, abs=1e-4), "the engine is told of it"
    await cluster.holds(0)


async def test_programs_with_the_least_service_go_first(cluster: Cluster) -> None:
    await cluster.start("tiny-a")
    sessions = {}
    for service_s in (3.0, 1.0, 2.0):
        session = sessions[service_s] = await cluster.gateway.session()
        headers = {wire.SESSION_HEADER: session["token"]}
        await cluster.gateway.chat({"service_s": service_s}, headers=headers)
    cluster.server.delete(SLICES, "tiny-a")
    await cluster.knows()
    calls = []
    for held, session in enumerate(sessions.values(), start=1):
        headers = {wire.SESSION_HEADER: session["token"]}
        calls.append(asyncio.create_task(cluster.gateway.chat(headers=headers)))
        await cluster.holds(held)
    engine = await cluster.start("tiny-b")
    assert [answer.status_code for answer in await asyncio.gather(*calls)] == [200] * 3
    assert [float(headers[wire.SERVICE_HEADER]) for headers in engine.seen] == [1.0, 2.0, 3.0]


async def test_no_more_calls_are_held_than_the_pool_allows(cluster: Cluster) -> None:
    cluster.server.put(POOLS, a_pool(maxCalls=1))
    session = await cluster.gateway.session()
    headers = {wire.SESSION_HEADER: session["token"]}
    first = asyncio.create_task(cluster.gateway.chat())
    await cluster.holds(1)

    async def refused() -> bool:
        answer = await cluster.gateway.http.post("/v1/chat/completions", json={"model": "scripted"}, headers=headers)
        if answer.status_code != 429:
            return False
        assert answer.json()["error"]["code"] == "queue_full"
        assert int(answer.headers["retry-after"]) > 0
        return True

    assert await refused()
    assert (await cluster.gateway.shown(session["id"]))["calls"] == 0, "nothing was done"
    await cluster.start("tiny-a")
    assert (await first).status_code == 200


async def test_a_call_is_held_no_longer_than_the_pool_allows(cluster: Cluster) -> None:
    cluster.server.put(POOLS, a_pool(seconds=0.2))
    await eventually(lambda: _hold_is_short(cluster), "the gateway knows of it")
    session = await cluster.gateway.session()
    answer = await cluster.gateway.chat(stream=True, headers={wire.SESSION_HEADER: session["token"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "queue_wait_exceeded")

    async def settled() -> bool:
        shown = await cluster.gateway.shown(session["id"])
        return bool(shown["active_calls"] == 0 and shown["wait_seconds"] >= 0.2)

    await eventually(settled, "its wait is its program's")


async def _hold_is_short(cluster: Cluster) -> bool:
    answer = await cluster.gateway.chat()
    return answer.status_code == 504


async def test_a_client_that_leaves_while_its_call_is_held_is_forgotten(cluster: Cluster) -> None:
    session = await cluster.gateway.session()
    call = asyncio.create_task(cluster.gateway.chat(headers={wire.SESSION_HEADER: session["token"]}))
    await cluster.holds(1)
    call.cancel()
    await cluster.holds(0)

    async def settled() -> bool:
        return bool((await cluster.gateway.shown(session["id"]))["active_calls"] == 0)

    await eventually(settled, "the call is settled")
    shown = await cluster.gateway.shown(session["id"])
    assert shown["last_completion_at"] is None
    assert shown["wait_seconds"] > 0


async def test_ending_a_session_ends_its_held_calls(cluster: Cluster) -> None:
    session = await cluster.gateway.session()
    call = asyncio.create_task(cluster.gateway.chat(headers={wire.SESSION_HEADER: session["token"]}))
    await cluster.holds(1)
    await cluster.gateway.http.delete(f"/v1/sessions/{session['id']}")
    assert (await call).status_code == 410


async def test_a_call_that_no_ready_engine_takes_is_held_for_the_next(cluster: Cluster) -> None:
    async with abrupt_engine() as url:
        cluster.urls["tiny-abrupt"] = url
        cluster.condition("tiny-abrupt", ready=True)
        await cluster.sees("tiny-abrupt", up=True)
        call = asyncio.create_task(cluster.gateway.chat())

        async def retried() -> bool:
            metrics = (await cluster.gateway.http.get("/metrics")).text
            [line] = [line for line in metrics.splitlines() if line.startswith("autellix_gateway_retries_total ")]
            return float(line.split()[1]) > 1

        await eventually(retried, "the call was tried, held and tried again")
        await cluster.start("tiny-b")
        answer = await call
        assert (answer.status_code, answer.headers[wire.ENGINE_HEADER]) == (200, "tiny-b")
        # It ends only when nobody asks it any more.
        cluster.server.delete(SLICES, "tiny-abrupt")
        await cluster.knows("tiny-b")


async def test_a_draining_engine_serves_only_its_own_programs_long_calls(cluster: Cluster) -> None:
    await cluster.start("tiny-a")
    old = await cluster.gateway.session()
    assert (await cluster.long_call(old)).headers[wire.ENGINE_HEADER] == "tiny-a"
    await cluster.start("tiny-b")
    cluster.server.put(POOLS, a_pool(draining=("tiny-a",)))
    await cluster.sees("tiny-a", draining=True)
    assert (await cluster.long_call(old)).headers[wire.ENGINE_HEADER] == "tiny-a"
    short = await cluster.gateway.chat(headers={wire.SESSION_HEADER: old["token"]})
    assert short.headers[wire.ENGINE_HEADER] == "tiny-b"
    new = await cluster.gateway.session()
    assert (await cluster.long_call(new)).headers[wire.ENGINE_HEADER] == "tiny-b"
    cluster.server.delete(SLICES, "tiny-b")
    await cluster.knows("tiny-a")
    assert (await cluster.gateway.chat()).headers[wire.ENGINE_HEADER] == "tiny-a"


async def test_the_operator_is_told_of_the_pool_of_its_held_calls_and_of_what_drains(cluster: Cluster) -> None:
    async def tells(**fields: Any) -> None:
        async def told() -> bool:
            answer = await cluster.gateway.http.get(POOLS_PATH, headers={"authorization": "Bearer operator"})
            pool: dict[str, Any] = next(iter(answer.json()["pools"]), {})
            return all(pool.get(name) == value for name, value in fields.items())

        await eventually(told, f"the operator is told {fields}")

    await tells(name="tiny", model="scripted", held=0, active=0, engines=[])
    session = await cluster.gateway.session(json={"model": "scripted"})
    call = asyncio.create_task(cluster.long_call(session, script={"wait_s": 0.25}))
    await tells(held=1, active=1, engines=[])
    await cluster.start("tiny-a")
    assert (await call).status_code == 200
    engine = {"id": "tiny-a", "ready": True, "draining": False, "calls": 0, "programs": 1}
    engine |= {"slots": 0, "cached_tokens": 14, "wait_seconds": 0.25}
    await tells(held=0, longest_held_seconds=0.0, active=0, returning=1, engines=[engine])
    cluster.server.put(POOLS, a_pool(draining=("tiny-a",)))
    await tells(engines=[engine | {"draining": True}])
    cluster.condition("tiny-a", ready=False)
    await tells(engines=[engine | {"draining": True, "ready": False}])


async def test_an_engine_that_ends_keeps_its_stream_and_gets_no_new_call(cluster: Cluster) -> None:
    first = await cluster.start("tiny-a")
    session = await cluster.gateway.session()
    stream = asyncio.create_task(cluster.long_call(session, stream=True, script={"hold": 1}))
    await asyncio.wait_for(first.held.wait(), 10)
    await cluster.start("tiny-b")
    cluster.condition("tiny-a", ready=False, serving=True, terminating=True)
    await cluster.sees("tiny-a", accepts=False)
    moved = await cluster.long_call(session)
    assert moved.headers[wire.ENGINE_HEADER] == "tiny-b"
    metrics = (await cluster.gateway.http.get("/metrics")).text
    assert 'autellix_gateway_placements_total{reason="rehomed"} 1.0' in metrics
    cluster.server.delete(SLICES, "tiny-a")
    await cluster.knows("tiny-b")
    first.release()
    answer = await stream
    assert (answer.status_code, answer.headers[wire.ENGINE_HEADER]) == (200, "tiny-a")
    assert answer.content.rstrip().endswith(b"[DONE]"), "the stream ran to its end"
    assert (await cluster.long_call(session)).headers[wire.ENGINE_HEADER] == "tiny-b", "its new home"


async def test_engines_that_are_gone_leave_no_metric(cluster: Cluster) -> None:
    await cluster.start("tiny-a")
    await cluster.gateway.chat()
    label = 'autellix_gateway_calls_in_flight{engine="tiny-a"}'
    assert label in (await cluster.gateway.http.get("/metrics")).text
    cluster.server.delete(SLICES, "tiny-a")

    async def forgotten() -> bool:
        return label not in (await cluster.gateway.http.get("/metrics")).text

    await eventually(forgotten, "its gauge is gone")


async def test_a_model_of_no_pool_is_not_held(cluster: Cluster) -> None:
    answer = await cluster.gateway.chat(model="another")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "there is scripted" in answer.json()["error"]["message"]
    assert [entry["id"] for entry in (await cluster.gateway.http.get("/v1/models")).json()["data"]] == ["scripted"]


async def test_calls_of_a_pool_that_is_deleted_are_let_go(cluster: Cluster) -> None:
    call = asyncio.create_task(cluster.gateway.chat())
    await cluster.holds(1)
    cluster.server.delete(POOLS, "tiny")
    answer = await call
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "no_engine")
    ready = await cluster.gateway.http.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")


async def test_without_the_api_server_calls_are_served_on(cluster: Cluster) -> None:
    await cluster.start("tiny-a")
    cluster.server.status = {"list": 500, "watch": 500}
    cluster.server.end_watches(broken=True)
    assert [(await cluster.gateway.chat()).status_code for _ in range(3)] == [200] * 3
    assert (await cluster.state())["status"] == "ready"
