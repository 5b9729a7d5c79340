"""Puts the operator together: one object of each kind, built once and handed down."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress

from autellix_operator.apiserver import ApiServer, credentials
from autellix_operator.cluster import ENGINE_POOL, PROGRAM_SESSION, Cluster
from autellix_operator.endings import Endings
from autellix_operator.engines.operating import PoolsWork
from autellix_operator.engines.reconciling import EnginePools
from autellix_operator.farewell import leave, release_all
from autellix_operator.gateways import Gateway, HttpGateway
from autellix_operator.health import health_app, serving
from autellix_operator.known import Known
from autellix_operator.leadership import LeadersCluster, Leadership
from autellix_operator.metrics import Metrics
from autellix_operator.mirroring import Mirroring
from autellix_operator.mirrors import Mirrors
from autellix_operator.objects import Objects
from autellix_operator.operating import Operating
from autellix_operator.pacing import Due, Pace
from autellix_operator.sessions import SessionRules, Sessions
from autellix_operator.settings import Settings
from autellix_operator.status import Rules
from autellix_operator.watching import Watch

__all__ = ["build", "build_pools", "release", "run"]

_STOP_S = 6.0
_LEAVE_S = 15.0
_KIND_AGAIN_S = 2.0


def build(
    settings: Settings,
    *,
    cluster: Cluster,
    gateway: Gateway,
    metrics: Metrics,
    leads: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> Operating:
    """All that works on ProgramSessions, over a cluster and a gateway; only what a leader writes passes."""
    ours = LeadersCluster(cluster, leads=leads, pace=Pace(settings.writes_per_s, clock=clock))
    known, objects = Known(gateway), Objects()
    endings = Endings(ours, gateway, known, within_s=settings.finalize_within_s, clock=clock, now=now)
    rules = SessionRules(
        url=settings.url_for_sessions,
        token_ttl_s=settings.session_token_ttl_s,
        status_interval_s=settings.status_interval_s,
        status=Rules(settings.starved_ratio, settings.starved_after_s),
    )
    mirroring = Mirroring(settings.mirror_after_s, settings.mirror_at_most, settings.keep_ended_s)
    return Operating(
        cluster=ours,
        known=known,
        objects=objects,
        sessions=Sessions(ours, gateway, known, objects, endings, rules, clock=clock, now=now),
        mirrors=Mirrors(ours, known, objects, mirroring, namespace=settings.mirror_namespace, now=now),
        endings=endings,
        metrics=metrics,
        namespaces=settings.served,
        poll_interval_s=settings.poll_interval_s,
        resync_s=settings.resync_s,
        leads=leads,
        due=Due(clock=clock),
    )


def build_pools(
    settings: Settings,
    *,
    cluster: Cluster,
    gateway: Gateway,
    metrics: Metrics,
    leads: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
    now: Callable[[], float] = time.time,
) -> PoolsWork:
    """All that works on EnginePools. Its writes have a pace of their own, so that many programs do not slow scaling."""
    ours = LeadersCluster(cluster, leads=leads, pace=Pace(settings.writes_per_s, clock=clock))
    return PoolsWork(
        cluster=ours,
        pools=EnginePools(ours, gateway.pools, now=now, status_interval_s=settings.status_interval_s),
        metrics=metrics,
        namespaces=settings.served,
        poll_interval_s=settings.poll_interval_s,
        resync_s=settings.resync_s,
        due=Due(clock=clock),
    )


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Work until told to stop, then end within seconds and leave the lease to another replica."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(
            ApiServer(await credentials(), wrote=lambda verb, kind: metrics.writes.labels(verb, kind).inc())
        )
        key = settings.key.get_secret_value() if settings.key else None
        gateway = await stack.enter_async_context(
            HttpGateway(settings.gateway_url, key=key, timeout_s=settings.gateway_timeout_s)
        )
        leadership = Leadership(
            cluster,
            namespace=settings.own_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            lease_s=settings.lease_s,
            changed=metrics.leading.set,
        )
        operating = build(settings, cluster=cluster, gateway=gateway, metrics=metrics, leads=lambda: leadership.leads)
        pools = build_pools(settings, cluster=cluster, gateway=gateway, metrics=metrics, leads=lambda: leadership.leads)

        async def work() -> None:
            async with asyncio.TaskGroup() as both:
                both.create_task(operating.work())
                both.create_task(pools.work())

        app = health_app(metrics, leads=lambda: leadership.leads)
        await stack.enter_async_context(serving(app, host=settings.health_host, port=settings.health_port))
        watch = Watch({PROGRAM_SESSION: operating.seen, ENGINE_POOL: pools.seen}, namespaces=settings.served)
        tasks = {
            asyncio.create_task(leadership.run(work), name="leadership"),
            asyncio.create_task(_watch(watch, operating.resync, pools.resync), name="watch"),
            asyncio.create_task(stop.wait(), name="stop"),
        }
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_STOP_S)
        if stop.is_set():
            names = (settings.own_namespace,) if settings.everywhere else settings.served
            with suppress(TimeoutError):
                await asyncio.wait_for(leave(cluster, gateway, names), _LEAVE_S)
        for task in done:
            task.result()


async def _watch(watch: Watch, *listed: Callable[[], Awaitable[bool]]) -> None:
    """Not before every kind can be listed: kopf finds out what exists once, when it starts."""
    for each in listed:
        while True:
            if await each():
                break
            await asyncio.sleep(_KIND_AGAIN_S)
    await watch.run()


async def release(settings: Settings) -> int:
    """Take our finalizers off every object that is served; their programs go on. How many objects had one."""
    async with ApiServer(await credentials()) as cluster:
        return await release_all(cluster, settings.served)
