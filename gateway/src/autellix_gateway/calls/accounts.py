"""What the calls under way in this gateway cost, and their settling in the process table.

A call is settled exactly once: in band, before its client sees the end, or beside the request where there is nobody
left to wait for it. Until then its lease is renewed.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass

from autellix_core.errors import MalformedReport
from autellix_core.program import CallId, EngineId, Measured, ProgramId
from autellix_core.wire import STATE_PATH, Report
from autellix_gateway.calls.messages import Forward
from autellix_gateway.engines.registry import Engine
from autellix_gateway.engines.transport import EngineTransport, NotTaken
from autellix_gateway.errors import Ended
from autellix_gateway.metrics import Metrics
from autellix_gateway.table.protocol import Admission, Arrival, CallRef, ProcessTable, Progress, SessionEnded

__all__ = ["Account", "Accounts"]

_LOG = logging.getLogger(__name__)
_REPORT_TRIES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_ASK_S = 2.0


@dataclass(slots=True, eq=False)
class Account:
    """One call under way. Stamps are monotonic seconds."""

    admission: Admission
    task: "asyncio.Task[object] | None"
    prompt_tokens: int
    arrived: float
    engine: Engine | None = None
    sent: float = 0.0
    first_byte: float | None = None
    dispatched: "asyncio.Task[None] | None" = None
    settled: bool = False
    ended: bool = False
    """Its session was ended, or its lease lost: it is being wound up."""

    @property
    def ref(self) -> CallRef:
        """How the table knows it."""
        return self.admission.ref


class Accounts:
    """The calls under way in this gateway."""

    def __init__(
        self,
        table: ProcessTable,
        transport: EngineTransport,
        metrics: Metrics,
        *,
        prefill_tokens_per_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._transport = transport
        self._metrics = metrics
        self._prefill_tokens_per_s = prefill_tokens_per_s
        self._clock = clock
        self._open: dict[CallId, Account] = {}
        self._held: Counter[EngineId] = Counter()
        self._beside: set[asyncio.Task[None]] = set()

    async def open(self, call: Forward) -> Account:
        """Register a call that arrived. Raises :class:`Ended` where its session was ended."""
        arrived = self._clock()
        call_id = CallId(f"call_{secrets.token_hex(12)}")
        arrival = Arrival(
            program=call.named.program or ProgramId(call_id),
            call=call_id,
            tenant=call.named.tenant,
            model=call.model,
            single_call=call.named.program is None,
        )
        arriving = asyncio.ensure_future(self._table.arrive(arrival))
        try:
            admission = await asyncio.shield(arriving)
        except asyncio.CancelledError:
            self._spawn(self._forget(arriving))
            raise
        except SessionEnded as ended:
            raise Ended("The session was ended; open a new one with POST /v1/sessions.") from ended
        if admission.over_limit:
            self._metrics.over_limit.inc()
        account = Account(admission, asyncio.current_task(), call.prompt_tokens, arrived)
        self._open[call_id] = account
        return account

    def engine_calls(self, account: Account) -> Mapping[EngineId, int]:
        """How many calls each engine holds: as the table said, or more where this gateway knows of more.

        The table learns of a placement a moment after it was made; what this gateway placed itself it knows at once.
        """
        return Counter(account.admission.engine_calls) | self._held

    def dispatch(self, account: Account, engine: Engine, *, home: bool) -> None:
        """The call goes to an engine now. The table is told beside it; the call does not wait for that."""
        self._leave_engine(account)
        account.engine = engine
        account.sent = self._clock()
        account.first_byte = None
        self._held[engine.id] += 1
        self._metrics.in_flight.labels(engine.id).inc()
        account.dispatched = self._spawn(
            self._dispatched(account.dispatched, self._table.dispatch(account.ref, engine.id, home=home))
        )

    def heard(self, account: Account) -> None:
        """A byte of the answer came."""
        if account.first_byte is None:
            account.first_byte = self._clock()
            self._metrics.first_byte.observe(account.first_byte - account.arrived)

    async def complete(
        self, account: Account, report: Report | None, *, usage: tuple[int, int] | None = None, streamed: bool = False
    ) -> None:
        """The answer is whole. Without a report the gateway's own measurement counts."""
        if report is None:
            self._metrics.unreported.inc()
            measured = self._estimate(account, streamed=streamed, usage=usage)
        else:
            measured = report.measured
        await self._settle(account, measured, completed=True)
        self._metrics.calls.labels("completed").inc()

    async def refused(self, account: Account) -> None:
        """The engine refused the call, or none took it: it cost nothing."""
        await self._settle(account, Measured(), completed=False)
        self._metrics.calls.labels("refused").inc()

    def abandon(self, account: Account) -> None:
        """Whatever went wrong: see to it beside the request that an open account is settled."""
        if not account.settled:
            self._spawn(self._settle_abandoned(account))

    async def renew(self) -> None:
        """Prolong all leases, and wind up the calls whose session was ended or that were taken for lost."""
        under_way = []
        for account in self._open.values():
            so_far = self._estimate(account, streamed=True)
            under_way.append(Progress(account.ref, wait_s=so_far.wait_s, service_s=so_far.service_s))
        for ref in await self._table.renew(under_way) if under_way else ():
            if (lost := self._open.get(ref.call)) is not None:
                self._wind_up(lost)

    def end(self, program: ProgramId) -> None:
        """A session was ended: wind up its calls."""
        for account in self._open.values():
            if account.ref.program == program:
                self._wind_up(account)

    async def drain(self, timeout_s: float) -> None:
        """Wait until what is being settled is settled, or the time is over."""
        if self._beside:
            await asyncio.wait(self._beside, timeout=timeout_s)

    def _wind_up(self, account: Account) -> None:
        # The table knows a call no more from the moment that it is settled, and its answer is on its way from then on.
        if account.task is not None and not (account.ended or account.settled):
            account.ended = True
            account.task.cancel()

    async def _forget(self, arriving: Awaitable[Admission]) -> None:
        with suppress(SessionEnded):
            await self._table.abort((await arriving).ref, Measured())

    @staticmethod
    async def _dispatched(before: "asyncio.Task[None] | None", now: Awaitable[None]) -> None:
        if before is not None:
            await asyncio.wait({before})  # a call that was moved on is counted where it went last
        await now

    async def _settle(self, account: Account, measured: Measured, *, completed: bool) -> None:
        if account.settled:
            return
        account.settled = True
        self._leave_engine(account)
        if account.dispatched is not None:
            await asyncio.wait({account.dispatched})
        verb = self._table.complete if completed else self._table.abort
        try:
            await verb(account.ref, measured)
        finally:
            self._open.pop(account.ref.call, None)
        self._metrics.duration.observe(self._clock() - account.arrived)
        self._metrics.service.observe(measured.service_s)
        self._metrics.wait.observe(measured.wait_s)
        if account.engine is not None and (completed or measured.wait_s):
            self._metrics.recent_waits.observe(account.engine.id, measured.wait_s)

    async def _settle_abandoned(self, account: Account) -> None:
        report = await self._late_report(account)
        measured = report.measured if report else self._estimate(account, streamed=True)
        await self._settle(account, measured, completed=False)
        self._metrics.calls.labels("aborted").inc()

    async def _late_report(self, account: Account) -> Report | None:
        """What the engine says of an aborted call; it takes a moment to notice that its client went."""
        engine = account.engine
        if engine is None or not engine.adapter:
            return None
        for pause_s in _REPORT_TRIES_S:
            await asyncio.sleep(pause_s)
            try:
                state = await self._transport.get_json(engine.url + STATE_PATH, timeout_s=_ASK_S)
                for entry in state["aborted"]:
                    if entry["report"]["call"] == account.ref.call:
                        return Report.from_mapping(entry["report"])
            except (NotTaken, MalformedReport, LookupError, TypeError) as error:
                _LOG.warning("no report of aborted call %s from %s: %s", account.ref.call, engine.id, error)
                return None
        return None

    def _estimate(self, account: Account, *, streamed: bool, usage: tuple[int, int] | None = None) -> Measured:
        """What a call cost as seen from here: first byte to last byte and a guess at its prefill.

        The rest until the first byte counts as wait. A whole answer shows no first byte of its own: all of its time
        counts as service, which is an upper bound.
        """
        if account.engine is None:
            return Measured()
        now = self._clock()
        first_s = (now if account.first_byte is None else account.first_byte) - account.sent
        rest_s = now - account.sent - first_s
        if account.first_byte is None and streamed:
            return Measured(wait_s=first_s)
        prompt_tokens, output_tokens = usage or (0, 0)
        prefill_s = min(first_s, account.prompt_tokens / self._prefill_tokens_per_s) if streamed else first_s
        return Measured(
            service_s=prefill_s + rest_s,
            wait_s=first_s - prefill_s,
            prompt_tokens=prompt_tokens,
            output_tokens=output_tokens,
        )

    def _leave_engine(self, account: Account) -> None:
        if account.engine is not None:
            self._held[account.engine.id] -= 1
            self._metrics.in_flight.labels(account.engine.id).dec()

    def _spawn(self, work: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._beside.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("an account could not be settled: %s", error, exc_info=error)
