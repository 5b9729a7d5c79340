"""Which pool is looked at when: as soon as it changed, every few seconds, and later where that failed."""

import asyncio

from autellix_operator.cluster import DEPLOYMENT, ENGINE_POOL
from autellix_operator.engines.operating import PoolsWork
from autellix_operator.errors import ClusterAway
from autellix_operator.metrics import Metrics
from autellix_operator.pacing import Due
from operator_pools import Surroundings, pool_body


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def work_on(around: Surroundings, clock: Clock) -> PoolsWork:
    return PoolsWork(
        cluster=around.cluster,
        pools=around.operator(),
        metrics=Metrics(),
        namespaces=("default",),
        poll_interval_s=2.0,
        resync_s=60.0,
        due=Due(clock=clock),
    )


async def is_due(work: PoolsWork) -> bool:
    try:
        async with asyncio.timeout(0.05):
            await work.next()
    except TimeoutError:
        return False
    return True


async def test_a_listed_pool_is_looked_at_and_again_after_a_while() -> None:
    around, clock = Surroundings(pool_body()), Clock()
    work = work_on(around, clock)
    assert await work.resync()
    assert await is_due(work)
    assert around.cluster.all(DEPLOYMENT)
    assert not await is_due(work)
    clock.now_s += 2.0
    assert await is_due(work)


async def test_a_change_is_looked_at_at_once_and_a_pool_that_is_gone_no_more() -> None:
    around, clock = Surroundings(pool_body()), Clock()
    work = work_on(around, clock)
    around.cluster.changed.append(
        lambda change, body: work.seen(change, body) if body["kind"] == "EnginePool" and change == "DELETED" else None
    )
    work.seen("ADDED", around.cluster.see(ENGINE_POOL, "tiny"))
    assert await is_due(work)
    around.cluster.remove(ENGINE_POOL, "default", "tiny")
    assert await is_due(work)
    clock.now_s += 100.0
    assert not await is_due(work)


async def test_what_failed_is_tried_again_ever_later_and_at_once_when_it_changes() -> None:
    around, clock = Surroundings(pool_body()), Clock()
    work = work_on(around, clock)
    for at in range(1, 5):
        around.cluster.calls.fail(at, ClusterAway("The API server does not answer."))
    assert not await work.resync()
    work.seen("ADDED", around.cluster.see(ENGINE_POOL, "tiny"))
    assert await is_due(work)
    clock.now_s += 1.0
    assert await is_due(work)
    clock.now_s += 1.0
    assert not await is_due(work)
    clock.now_s += 1.0
    assert await is_due(work)
    around.scale({"replicas": 2})
    work.seen("MODIFIED", around.cluster.see(ENGINE_POOL, "tiny"))
    assert await is_due(work)
    assert around.cluster.all(DEPLOYMENT)


async def test_a_status_that_was_written_is_no_reason_to_look() -> None:
    around, clock = Surroundings(pool_body()), Clock()
    work = work_on(around, clock)
    work.seen("ADDED", around.cluster.see(ENGINE_POOL, "tiny"))
    assert await is_due(work)
    assert around.status
    work.seen("MODIFIED", around.cluster.see(ENGINE_POOL, "tiny"))
    assert not await is_due(work)
    clock.now_s += 2.0
    assert await is_due(work)
