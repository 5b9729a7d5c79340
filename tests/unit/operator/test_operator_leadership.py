"""Who leads, when it is lost, and that nobody else writes."""

import asyncio

import pytest

from autellix_operator.cluster import LEASE
from autellix_operator.errors import ClusterAway, NotLeading
from autellix_operator.leadership import LeadersCluster, Leadership
from autellix_operator.pacing import Pace
from operator_cluster import Calls, MemoryCluster


class _Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def _replica(cluster: MemoryCluster, name: str, time: _Time, lease_s: float = 15.0) -> Leadership:
    return Leadership(cluster, namespace="default", name="op", identity=name, lease_s=lease_s, clock=time)


async def test_one_of_two_leads_and_the_other_takes_over_when_it_is_silent() -> None:
    cluster, time = MemoryCluster(), _Time()
    one, other = _replica(cluster, "one", time), _replica(cluster, "other", time)
    assert await one.seek()
    assert not await other.seek()
    assert (one.leads, other.leads) == (True, False)
    for _ in range(5):
        time.now += 4
        assert await one.seek()
        assert not await other.seek()
    time.now += 11
    assert not one.leads  # before the other may
    assert not await other.seek()
    time.now += 5
    assert await other.seek()
    assert not await one.seek()
    assert cluster.see(LEASE, "op")["spec"]["leaseTransitions"] == 2


async def test_of_two_that_claim_at_once_one_wins() -> None:
    cluster, time = MemoryCluster(), _Time()
    one, other = _replica(cluster, "one", time), _replica(cluster, "other", time)
    read = cluster.get

    async def overtaken(*args: object, **named: object) -> object:
        cluster.get = read  # type: ignore[method-assign]
        found = await read(*args, **named)  # type: ignore[arg-type]
        assert await other.seek()
        return found

    assert await _replica(cluster, "before", time).seek()
    time.now += 1
    await one.seek()
    await other.seek()
    time.now += 16
    cluster.get = overtaken  # type: ignore[method-assign, assignment]
    assert not await one.seek()
    assert (one.leads, other.leads) == (False, True)


async def test_work_is_cancelled_when_the_lease_cannot_be_renewed_and_given_back_at_the_end() -> None:
    cluster = MemoryCluster()
    led: list[bool] = []
    leader = Leadership(cluster, namespace="default", name="op", identity="one", lease_s=0.3, changed=led.append)
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    running = asyncio.create_task(leader.run(work))
    await began.wait()
    for number in range(1, 1000):
        cluster.calls.fail(len(cluster.calls.made) + number, ClusterAway("away"))
    await cancelled.wait()
    assert not leader.leads
    cluster.calls = Calls()
    began.clear()
    await began.wait()  # the API server is back
    running.cancel()
    await asyncio.wait({running})
    # A machine that stands still for longer than the lease loses it once more.
    assert led == [True, False] * (len(led) // 2)
    assert len(led) >= 4
    assert "holderIdentity" not in cluster.see(LEASE, "op")["spec"]


async def test_only_the_leader_writes() -> None:
    cluster = MemoryCluster()
    leads = [True]
    ours = LeadersCluster(cluster, leads=lambda: leads[0], pace=Pace(1000.0))
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "s"}}
    made = await ours.apply(body)
    leads[0] = False
    for write in (ours.apply(body), ours.apply_status(body)):
        with pytest.raises(NotLeading):
            await write
    await ours.event(made, reason="Said", message="Nothing.")
    assert (cluster.writes, cluster.events) == (["apply secrets/s"], [])
