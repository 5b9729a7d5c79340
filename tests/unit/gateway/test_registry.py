"""Engines come and go while they are asked, and calls fail in them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from autellix_core.program import EngineId
from autellix_gateway.engines.members import Member, Pool, static_members
from autellix_gateway.engines.registry import Engines
from eventually import eventually
from gateway_engines import SaidEngines

A, B = EngineId("a"), EngineId("b")
NEVER_AGAIN_S = 3600.0
TINY = Pool("tiny", "tiny-model", most_held=2, hold_s=9.0)


def a_member(name: EngineId = A, *, port: int = 1, accepts: bool = True, draining: bool = False) -> Member:
    return Member(name, f"http://{name}:{port}", "tiny", accepts, draining)


def ids(engines: Engines) -> list[str]:
    return [engine.id for engine in engines.ready()]


@asynccontextmanager
async def watched(engines: Engines, interval_s: float = NEVER_AGAIN_S) -> AsyncIterator[None]:
    watch = asyncio.create_task(engines.watch(interval_s))
    await asyncio.sleep(0)
    try:
        yield
    finally:
        watch.cancel()
        await asyncio.wait({watch})


def test_engines_of_a_list_are_named_by_host_and_port() -> None:
    engines = Engines(SaidEngines(), static_members(["http://h:1", "https://i:2/v"]))
    assert [(engine.id, engine.url, engine.pool) for engine in engines.all()] == [
        ("h:1", "http://h:1", ""),
        ("i:2", "https://i:2/v", ""),
    ]


@pytest.mark.parametrize(
    ("slots", "read"), [(8, 8), (0, 0), (-1, 0), ("8", 0), (None, 0)], ids=["said", "none", "less", "text", "null"]
)
async def test_what_an_engine_says_of_itself(slots: object, read: int) -> None:
    engines = Engines(SaidEngines("http://a:1", slots=slots), [a_member()])
    await engines.refresh()
    [engine] = engines.ready("m")
    assert (engine.adapter, engine.slots, engine.models) == (True, read, ({"id": "m"},))
    assert not engines.ready("another")


async def test_a_stock_engine_says_no_slots() -> None:
    transport = SaidEngines("http://a:1")
    transport.adapter = False
    engines = Engines(transport, [a_member()])
    await engines.refresh()
    [engine] = engines.ready()
    assert (engine.adapter, engine.slots) == (False, 0)


async def test_an_engine_that_appears_is_asked_at_once_and_one_that_vanishes_no_more() -> None:
    transport = SaidEngines("http://a:1", "http://b:1")
    engines = Engines(transport)
    async with watched(engines):
        engines.members([a_member(A)])

        async def a_is_ready() -> bool:
            return ids(engines) == ["a"]

        await eventually(a_is_ready, "the engine was asked")
        engines.members([a_member(B)])
        assert ids(engines) == [], "the new one has not been asked yet"
        assert engines.get(A) is None

        async def b_is_ready() -> bool:
            return ids(engines) == ["b"]

        await eventually(b_is_ready, "the other was asked")
        transport.asked.clear()
    async with watched(engines, interval_s=0.001):
        await eventually(lambda: _several(transport), "the watch goes on")
        assert {url.split("/")[2] for url in transport.asked} == {"b:1"}


async def _several(transport: SaidEngines) -> bool:
    return len(transport.asked) > 3


async def test_what_is_known_of_an_engine_stays_when_its_membership_changes() -> None:
    engines = Engines(SaidEngines("http://a:1"), [a_member()])
    await engines.refresh()
    engines.members([a_member(draining=True)])
    [engine] = engines.ready()
    assert (engine.draining, engine.pool, engine.adapter) == (True, "tiny", True)
    engines.members([a_member(accepts=False)])
    assert engines.ready() == ()
    assert engines.all()[0].up, "its calls under way go on"
    engines.members([a_member()])
    assert ids(engines) == ["a"]


async def test_the_same_name_at_another_address_is_another_engine() -> None:
    engines = Engines(SaidEngines("http://a:1"), [a_member()])
    await engines.refresh()
    engines.members([a_member(port=2)])
    assert ids(engines) == []
    await engines.refresh()
    assert ids(engines) == [], "nobody answers there"


async def test_an_engine_that_becomes_ready_is_not_kept_waiting_for_its_turn() -> None:
    transport = SaidEngines()
    engines = Engines(transport, [a_member(accepts=False)])
    async with watched(engines):
        await eventually(lambda: _asked(transport), "it was asked, and did not answer")
        transport.up.add("http://a:1")
        engines.members([a_member()])

        async def ready() -> bool:
            return ids(engines) == ["a"]

        await eventually(ready, "it was asked again")


async def _asked(transport: SaidEngines) -> bool:
    return bool(transport.asked)


@pytest.mark.parametrize("comes_back", [False, True])
async def test_what_an_engine_answered_after_it_vanished_counts_for_nobody(comes_back: bool) -> None:
    transport = SaidEngines("http://a:1")
    transport.answers.clear()
    engines = Engines(transport, [a_member()])
    asking = asyncio.create_task(engines.refresh())
    await asyncio.sleep(0)
    engines.members([a_member(port=2)] if comes_back else [])
    transport.answers.set()
    await asking
    assert engines.ready() == ()
    assert len(engines.all()) == (1 if comes_back else 0)


async def test_membership_that_changes_while_an_engine_is_asked_is_kept() -> None:
    transport = SaidEngines("http://a:1")
    transport.answers.clear()
    engines = Engines(transport, [a_member()])
    asking = asyncio.create_task(engines.refresh())
    await asyncio.sleep(0)
    engines.members([a_member(accepts=False, draining=True)])
    transport.answers.set()
    await asking
    [engine] = engines.all()
    assert (engine.up, engine.accepts, engine.draining) == (True, False, True)


async def test_a_call_that_failed_in_an_engine_that_vanished_is_nothing_new() -> None:
    engines = Engines(SaidEngines("http://a:1"), [a_member()])
    await engines.refresh()
    engines.members([])
    engines.failed(A)
    assert engines.all() == ()


async def test_a_call_that_failed_takes_the_engine_out_until_it_answers_again() -> None:
    engines = Engines(SaidEngines("http://a:1"), [a_member()])
    await engines.refresh()
    engines.failed(A)
    assert ids(engines) == []
    await engines.refresh()
    assert ids(engines) == ["a"]


async def test_three_unanswered_questions_take_an_engine_out() -> None:
    transport = SaidEngines("http://a:1")
    engines = Engines(transport, [a_member()])
    await engines.refresh()
    transport.up.clear()
    taken_out = []
    for _ in range(3):
        await engines.refresh()
        taken_out.append(not engines.ready())
    assert taken_out == [False, False, True]


async def test_a_pools_model_is_served_also_without_engines() -> None:
    engines = Engines(SaidEngines())
    engines.pools([TINY, Pool("none", "unheld", most_held=0, hold_s=9.0)])
    assert [entry["id"] for entry in engines.models()] == ["tiny-model", "unheld"]
    assert engines.pools_of("tiny-model") == [TINY]
    assert not engines.pools_of("unheld"), "it holds none"
    engines.pools([])
    assert engines.models() == []


async def test_who_listens_hears_of_what_takes_calls_and_of_nothing_else() -> None:
    engines = Engines(SaidEngines("http://a:1"))
    heard: list[int] = []
    engines.listen(lambda: heard.append(len(engines.ready())))
    engines.members([a_member()])
    await engines.refresh()
    assert heard == [0, 1], "it came; it is ready"
    await engines.refresh()
    engines.members([a_member()])
    engines.pools([])
    assert heard == [0, 1], "nothing is new"
    engines.failed(A)
    engines.failed(A)
    engines.pools([TINY])
    engines.members([])
    assert heard == [0, 1, 0, 0, 0]


async def test_an_engine_that_talks_nonsense_does_not_end_its_watch(caplog: pytest.LogCaptureFixture) -> None:
    class Nonsense(SaidEngines):
        async def get_json(self, url: str, *, timeout_s: float) -> object:
            await super().get_json(url, timeout_s=timeout_s)
            return {"data": 7} if url.endswith("models") and len(self.asked) < 4 else {"data": []}

    engines = Engines(Nonsense("http://a:1"), [a_member()])
    async with watched(engines, interval_s=0.001):

        async def ready() -> bool:
            return bool(engines.ready())

        await eventually(ready, "it was asked again")
    assert "could not be asked" in caplog.text
