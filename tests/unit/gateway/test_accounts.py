"""A call is wound up when its session ended or its lease was lost, and left alone once it is being settled."""

import asyncio
from collections.abc import Callable, Sequence
from typing import cast

import pytest

from autellix_core.program import Measured, ProgramId
from autellix_gateway.calls.accounts import Account, Accounts
from autellix_gateway.calls.messages import Forward
from autellix_gateway.engines.transport import EngineTransport
from autellix_gateway.identity import Named
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import CallRef, Limits, ProcessTable
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
