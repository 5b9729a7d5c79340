"""Calls that wait in the gateway: their order, how many, how long, and what lets them go."""

import asyncio
from collections.abc import Callable

import pytest

from autellix_core.program import EngineId
from autellix_core.wire import ErrorCode
from autellix_gateway.calls.holding import HoldQueue
from autellix_gateway.engines.members import Member, Pool
from autellix_gateway.engines.registry import Engines
from autellix_gateway.errors import QueueFull, QueueWaitExceeded, ShuttingDown, Unavailable
from gateway_engines import SaidEngines
from table_clock import TableClock

A = Member(EngineId("a"), "http://a:1", "tiny")
LONG_S = 3600.0


class Hold:
    """A hold queue for the model ``m``, without engines at first."""

    def __init__(self, *pools: Pool) -> None:
        self.clock = TableClock()
        self.engines = Engines(SaidEngines(A.url))
        self.engines.pools(pools)
        self.queue = HoldQueue(self.engines, clock=self.clock)
        self.gone: list[str] = []

    def call(self, name: str, service_s: float = 0.0, arrived: float = 0.0, held_s: float = 0.0) -> asyncio.Task[None]:
        """A call that notes its name when it goes."""

        async def wait() -> None:
            await self.queue.wait("m", service_s=service_s, arrived=arrived, held_s=held_s)
            self.gone.append(name)

        return asyncio.create_task(wait())

    async def engine_comes(self) -> None:
        """An engine is ready."""
        self.engines.members([A])
        await self.engines.refresh()


def pool(name: str = "tiny", most_held: int = 10, hold_s: float = LONG_S, model: str = "m") -> Pool:
    return Pool(name, model, most_held, hold_s)


async def test_calls_wait_for_an_engine_and_go_by_service_then_by_arrival() -> None:
    hold = Hold(pool())
    calls = [hold.call("c", 2.0, 1.0), hold.call("b", 1.0, 5.0), hold.call("d", 2.0, 3.0), hold.call("a", 1.0, 4.0)]
    await asyncio.sleep(0)
    assert hold.queue.held()["tiny"][0] == 4
    await hold.engine_comes()
    await asyncio.gather(*calls)
    assert hold.gone == ["a", "b", "c", "d"]
    assert hold.queue.held() == {}


async def test_where_an_engine_is_ready_nobody_waits() -> None:
    hold = Hold(pool())
    await hold.engine_comes()
    await hold.call("a")
    assert hold.gone == ["a"]


async def test_who_waits_how_long_is_told_by_pool() -> None:
    hold = Hold(pool("one", most_held=2), pool("two"))
    calls = [hold.call("a"), hold.call("b")]
    await asyncio.sleep(0)
    hold.clock.pass_(5.0)
    calls += [hold.call("c", held_s=0.0)]
    await asyncio.sleep(0)
    hold.clock.pass_(2.0)
    assert hold.queue.held() == {"one": (2, 7.0), "two": (1, 2.0)}, "the second pool takes what the first cannot"
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


async def test_no_more_wait_than_a_pool_allows() -> None:
    hold = Hold(pool(most_held=1))
    first = hold.call("a")
    await asyncio.sleep(0)
    with pytest.raises(QueueFull, match="nothing was done") as refused:
        hold.queue.check_room("m")
    assert (refused.value.status, refused.value.code) == (429, ErrorCode.QUEUE_FULL)
    assert refused.value.retry_after_s
    with pytest.raises(QueueFull):
        await hold.call("b")
    again = hold.call("c", held_s=1.0)  # it waited here before, and has its place
    await asyncio.sleep(0)
    assert hold.queue.held()["tiny"][0] == 2
    for call in (first, again):
        call.cancel()
    await asyncio.wait({first, again})
    hold.queue.check_room("m")


async def test_a_call_waits_no_longer_than_its_pool_allows() -> None:
    hold = Hold(pool(hold_s=0.01))
    with pytest.raises(QueueWaitExceeded, match="Queue wait exceeded: no engine of the pool tiny") as refused:
        await hold.call("a")
    assert (refused.value.status, refused.value.code) == (504, ErrorCode.QUEUE_WAIT_EXCEEDED)
    assert hold.queue.held() == {}


async def test_what_a_call_waited_before_counts() -> None:
    hold = Hold(pool(hold_s=LONG_S))
    with pytest.raises(QueueWaitExceeded):
        await hold.call("a", held_s=LONG_S)


@pytest.mark.parametrize(
    "pools", [(), (pool(model="another"),), (pool(most_held=0),)], ids=["none", "of-another-model", "holds-none"]
)
async def test_without_a_pool_that_holds_calls_they_are_refused_at_once(pools: tuple[Pool, ...]) -> None:
    hold = Hold(*pools)
    with pytest.raises(Unavailable, match="/readyz"):
        await hold.call("a")
    with pytest.raises(Unavailable):
        hold.queue.check_room("m")


async def test_without_a_pool_an_engine_that_is_back_is_not_tried_again() -> None:
    hold = Hold()
    await hold.engine_comes()
    with pytest.raises(Unavailable):
        await hold.call("a")


@pytest.mark.parametrize(
    "change",
    [lambda engines: engines.pools([]), lambda engines: engines.pools([pool(model="another")])],
    ids=["its-pool-is-deleted", "its-pool-serves-another-model"],
)
async def test_calls_whose_pool_is_gone_are_let_go(change: Callable[[Engines], None]) -> None:
    hold = Hold(pool())
    call = hold.call("a")
    await asyncio.sleep(0)
    change(hold.engines)
    await call
    with pytest.raises(Unavailable):
        await hold.call("a", held_s=1.0)


async def test_an_engine_of_another_model_lets_nobody_go() -> None:
    hold = Hold(pool())
    hold.engines = Engines(SaidEngines(A.url, model="another"))
    hold.engines.pools([pool()])
    hold.queue = HoldQueue(hold.engines, clock=hold.clock)
    call = hold.call("a")
    await asyncio.sleep(0)
    await hold.engine_comes()
    assert not call.done()
    assert hold.queue.held()["tiny"][0] == 1
    call.cancel()
    await asyncio.wait({call})


async def test_a_client_that_leaves_is_forgotten() -> None:
    hold = Hold(pool())
    call = hold.call("a")
    await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert hold.queue.held() == {}


async def test_a_gateway_that_ends_refuses_who_waits_and_who_would() -> None:
    hold = Hold(pool())
    call = hold.call("a")
    await asyncio.sleep(0)
    hold.queue.close()
    with pytest.raises(ShuttingDown, match="send it again") as refused:
        await call
    assert (refused.value.status, refused.value.code) == (503, ErrorCode.SHUTTING_DOWN)
    assert refused.value.retry_after_s
    with pytest.raises(ShuttingDown):
        hold.queue.check_room("m")
    await hold.engine_comes()
    await hold.call("b")
    assert hold.gone == ["b"], "whom an engine takes is still served"
