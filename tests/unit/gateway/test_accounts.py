"""A call is wound up when its session ended or its lease was lost, and left alone once it is being settled."""

import asyncio
from collections.abc import Callable, Sequence
from typing import ClassVar, cast

import pytest

from autellix_core.program import EngineId, Measured, ProgramId
from autellix_core.wire import Report
from autellix_gateway.calls.accounts import Account, Accounts
from autellix_gateway.calls.messages import Forward
from autellix_gateway.engines.registry import Engine
from autellix_gateway.engines.transport import EngineTransport
from autellix_gateway.identity import Named
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import CallRef, Limits, ProcessTable, Progress
from table_clock import TableClock

LIMITS = Limits(session_ttl_s=1000.0, remember_s=100.0, lease_s=10.0, programs_per_tenant=3)
CALL = Forward("/v1/completions", {}, b"{}", "m", 10, Named("tenant", ProgramId("p")))


class SlowTable(MemoryTable):
    """The shared table settles a call at once, and its answer takes a while to come back."""

    def __init__(self) -> None:
        super().__init__(LIMITS, TableClock())
        self.settled, self.answered = asyncio.Event(), asyncio.Event()

    async def complete(self, ref: CallRef, measured: Measured) -> bool:
        """As the table does it, but late."""
        done = await super().complete(ref, measured)
        self.settled.set()
        await self.answered.wait()
        return done


def accounts_of(table: MemoryTable) -> Accounts:
    metrics = Metrics()
    return Accounts(cast(ProcessTable, table), cast(EngineTransport, None), metrics, prefill_tokens_per_s=1000.0)


async def opened_and_completed(accounts: Accounts) -> None:
    await accounts.complete(await accounts.open(CALL), None)


@pytest.mark.parametrize("why", ["a lease that the table knows no more", "the end of its session"])
async def test_a_call_that_is_being_settled_is_not_wound_up(why: str) -> None:
    table = SlowTable()
    accounts = accounts_of(table)
    task = asyncio.create_task(opened_and_completed(accounts))
    await table.settled.wait()
    if why == "the end of its session":
        accounts.end(ProgramId("p"))
    else:
        await accounts.renew()
    table.answered.set()
    await task


@pytest.mark.parametrize(
    "wind_up",
    [lambda accounts: accounts.end(ProgramId("p")), lambda accounts: asyncio.ensure_future(accounts.renew())],
    ids=["its session was ended", "its lease was lost"],
)
async def test_a_call_under_way_is_wound_up(wind_up: Callable[[Accounts], object]) -> None:
    class Forgetful(MemoryTable):
        async def renew(self, calls: Sequence[object]) -> Sequence[CallRef]:
            return [call.ref for call in calls]  # type: ignore[attr-defined] # a Progress

    accounts = accounts_of(Forgetful(LIMITS, TableClock()))
    opened: asyncio.Future[Account] = asyncio.get_running_loop().create_future()

    async def under_way() -> None:
        opened.set_result(await accounts.open(CALL))
        await asyncio.Event().wait()

    task = asyncio.create_task(under_way())
    account = await opened
    wind_up(accounts)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert account.ended


async def test_the_time_that_a_call_is_held_is_its_programs_wait() -> None:
    class Renewed(MemoryTable):
        waits: ClassVar[list[float]] = []

        async def renew(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
            self.waits.extend(call.wait_s for call in calls)
            return await super().renew(calls)

    clock, table = TableClock(), Renewed(LIMITS, TableClock())
    accounts = Accounts(
        cast(ProcessTable, table), cast(EngineTransport, None), Metrics(), prefill_tokens_per_s=1000.0, clock=clock
    )
    account = await accounts.open(CALL)
    with accounts.holding(account):
        clock.pass_(3.0)
        await accounts.renew()
    clock.pass_(50.0)
    with accounts.holding(account):
        clock.pass_(4.0)
        await accounts.renew()
    assert table.waits == [3.0, 7.0], "a sweep after its gateway's death would count it too"
    report = Report(account.ref.call, service_s=2.0, wait_s=0.5, level=0)
    await accounts.complete(account, report)
    row = await table.program(ProgramId("p"))
    assert row is not None
    assert (row.wait_s, row.service_s) == (7.5, 2.0)


async def test_what_was_counted_of_engines_that_are_gone_is_forgotten_once_they_are_empty() -> None:
    metrics = Metrics()
    table = MemoryTable(LIMITS, TableClock())
    accounts = Accounts(cast(ProcessTable, table), cast(EngineTransport, None), metrics, prefill_tokens_per_s=1000.0)

    def engines() -> set[str]:
        return {sample.labels["engine"] for family in metrics.in_flight.collect() for sample in family.samples}

    account = await accounts.open(CALL)
    accounts.dispatch(account, Engine(EngineId("gone"), "http://gone:1"), home=True)
    accounts.keep_only([])
    assert engines() == {"gone"}, "a call is still in it"
    await accounts.refused(account)
    accounts.keep_only([EngineId("gone")])
    assert engines() == {"gone"}
    accounts.keep_only([])
    assert engines() == set()


async def test_draining_waits_for_calls_that_are_being_cut_off() -> None:
    accounts = accounts_of(table := MemoryTable(LIMITS, TableClock()))

    async def cut_off() -> None:
        account = await accounts.open(CALL)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            accounts.abandon(account)

    task = asyncio.create_task(cut_off())
    await asyncio.sleep(0.01)
    task.cancel()
    await accounts.drain(60.0)
    row = await table.program(ProgramId("p"))
    assert row is not None
    assert not row.threads
