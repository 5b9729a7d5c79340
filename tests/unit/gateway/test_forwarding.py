"""A call whose engine vanishes before its first byte, and where it goes then."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import cast

import pytest

from autellix_core import wire
from autellix_core.levels import Levels
from autellix_core.placement import Local
from autellix_core.priority import Policy
from autellix_core.program import EngineId, ProgramId
from autellix_core.wire import Report
from autellix_gateway.calls.accounts import Accounts
from autellix_gateway.calls.forwarding import Calls
from autellix_gateway.calls.messages import Answer, Forward
from autellix_gateway.engines.members import Member, Pool
from autellix_gateway.engines.registry import Engines
from autellix_gateway.engines.transport import EngineAnswer, EngineTransport, NotTaken
from autellix_gateway.errors import Unavailable
from autellix_gateway.identity import Named
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import Limits, ProcessTable
from eventually import eventually
from gateway_engines import SaidEngines
from table_clock import TableClock

LIMITS = Limits(session_ttl_s=1000.0, remember_s=100.0, lease_s=10.0, programs_per_tenant=3)
A, B = Member(EngineId("a"), "http://a:1", "tiny"), Member(EngineId("b"), "http://b:1", "tiny")
PROGRAM = ProgramId("p")
CALL = Forward("/v1/completions", {}, b"{}", "m", 10_000, Named("tenant", PROGRAM))
TINY = Pool("tiny", "m", most_held=5, hold_s=3600.0)


class Vanishing(SaidEngines):
    """Both engines are there; one in ``vanish`` goes, membership and all, when a call is sent to it."""

    def __init__(self) -> None:
        super().__init__(A.url, B.url)
        self.vanish: set[str] = set()
        self.failing: set[str] = set()
        self.ends: Callable[[], None] = lambda: None
        self.engines: Engines | None = None
        self.sent: list[str] = []

    @asynccontextmanager
    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> AsyncIterator[EngineAnswer]:
        """Answer, or vanish."""
        self.sent.append(url.removesuffix(CALL.path))
        await asyncio.sleep(0)
        assert self.engines is not None
        if self.sent[-1] in self.vanish:
            left = [Member(engine.id, engine.url, engine.pool) for engine in self.engines.all()]
            self.engines.members([member for member in left if member.url != self.sent[-1]])
            raise NotTaken(url)
        if self.sent[-1] in self.failing:
            self.ends()
            yield EngineAnswer(500, (), _body())
            return
        report = Report(headers[wire.CALL_HEADER], service_s=1.0, wait_s=0.0, level=0)
        yield EngineAnswer(200, ((wire.REPORT_HEADER, report.to_json()),), _body())


async def _body() -> AsyncIterator[bytes]:
    yield b"{}"


class Served:
    """A gateway's calls on two engines."""

    def __init__(self, *pools: Pool) -> None:
        self.transport = Vanishing()
        self.engines = self.transport.engines = Engines(self.transport, [A, B])
        self.engines.pools(pools)
        self.table = MemoryTable(LIMITS, TableClock())
        self.metrics = Metrics()
        transport = cast(EngineTransport, self.transport)
        self.calls = Calls(
            accounts=Accounts(cast(ProcessTable, self.table), transport, self.metrics, prefill_tokens_per_s=1000.0),
            engines=self.engines,
            transport=transport,
            policy=Policy.ATLAS,
            levels=Levels.geometric(3, 1.0, 2.0),
            placement=Local(),
            metrics=self.metrics,
        )

    async def call(self) -> Answer:
        """One long call of the program, to its end."""
        async with self.calls.serve(CALL) as answer:
            async for _ in answer.body:
                pass
        return answer

    def placed(self, reason: str) -> float:
        """How many placements had the reason."""
        return self.metrics.registry.get_sample_value("autellix_gateway_placements_total", {"reason": reason}) or 0.0


async def test_a_call_whose_engine_vanishes_goes_to_another_and_its_program_with_it() -> None:
    served = Served()
    await served.engines.refresh()
    await served.call()
    assert served.transport.sent == [A.url]
    served.transport.vanish = {A.url}
    answer = await served.call()
    assert dict(answer.headers)[wire.ENGINE_HEADER] == "b"
    assert served.transport.sent == [A.url, A.url, B.url]
    assert (served.placed("first-long"), served.placed("home"), served.placed("rehomed")) == (1, 1, 1)
    await served.call()
    assert served.placed("home") == 2, "its home is the other one now"
    row = await served.table.program(PROGRAM)
    assert row is not None
    assert (row.home, row.service_s, len(row.threads)) == ("b", 3.0, 0)
    assert served.table.engine_calls == {}


@pytest.mark.parametrize("how", ["away", "told to end", "gone"])
async def test_an_error_of_an_engine_that_ends_is_not_its_answer(how: str) -> None:
    served = Served()
    await served.engines.refresh()
    served.transport.failing = {A.url}
    if how == "away":
        served.transport.up.discard(A.url)
    else:
        left = {"told to end": [replace(A, accepts=False), B], "gone": [B]}[how]
        served.transport.ends = lambda: served.engines.members(left)
    answer = await served.call()
    assert (answer.status, dict(answer.headers)[wire.ENGINE_HEADER]) == (200, "b")
    assert served.transport.sent == [A.url, B.url]


async def test_an_error_of_an_engine_that_stays_is_passed_on() -> None:
    served = Served()
    await served.engines.refresh()
    served.transport.failing = {A.url}
    assert (await served.call()).status == 500
    assert served.transport.sent == [A.url]


async def test_without_a_pool_a_call_whose_engines_vanish_is_refused() -> None:
    served = Served()
    await served.engines.refresh()
    served.transport.vanish = {A.url, B.url}
    with pytest.raises(Unavailable):
        await served.call()
    assert served.transport.sent == [A.url, B.url]

    async def settled() -> bool:
        return served.table.engine_calls == {}

    await eventually(settled, "the call is settled")


async def test_with_a_pool_a_call_whose_engines_vanish_waits_for_the_next() -> None:
    served = Served(TINY)
    await served.engines.refresh()
    served.transport.vanish = {A.url, B.url}
    call = asyncio.create_task(served.call())

    async def held() -> bool:
        return served.calls.held().get("tiny", (0, 0.0))[0] == 1

    await eventually(held, "the call is held")
    in_flight = {sample.value for family in served.metrics.in_flight.collect() for sample in family.samples}
    assert in_flight <= {0.0}, "it is in no engine meanwhile"
    served.transport.vanish.clear()
    served.engines.members([B])
    await served.engines.refresh()
    answer = await call
    assert dict(answer.headers)[wire.ENGINE_HEADER] == "b"
    row = await served.table.program(PROGRAM)
    assert row is not None
    assert row.wait_s > 0, "the time that it was held"
    assert served.calls.held() == {}
