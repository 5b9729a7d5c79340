"""Places calls on engines and passes bytes through, both ways, unchanged.

What the engine answers reaches the client as it came; the gateway's own refusals are only for what no engine can
answer. A call that an engine did not take is tried on another before the first byte; where no engine takes it and its
model's pool holds calls, it waits for one.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from autellix_core.errors import MalformedReport
from autellix_core.levels import Levels, level_of
from autellix_core.placement import EngineLoad, Placement, PlacementPolicy, place
from autellix_core.priority import Policy, entry_service
from autellix_core.program import EngineId
from autellix_core.wire import PROGRAM_WAIT_HEADER, REPORT_HEADER, CallHeaders, Report
from autellix_gateway.calls.accounts import Account, Accounts
from autellix_gateway.calls.holding import HoldQueue
from autellix_gateway.calls.messages import Answer, Forward, headers_for_client, headers_for_engine
from autellix_gateway.engines.registry import Engine, Engines
from autellix_gateway.engines.reports import EventStream, usage_of
from autellix_gateway.engines.transport import Broken, EngineAnswer, EngineTransport, NotTaken, Silent
from autellix_gateway.errors import Ended, EngineFailed, EngineSilent, ModelNotFound, Unavailable
from autellix_gateway.metrics import Metrics

__all__ = ["Calls"]

_ENGINES_FAULT = 500


class Calls:
    """Serves calls on a pool of engines."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        engines: Engines,
        transport: EngineTransport,
        policy: Policy,
        levels: Levels,
        placement: PlacementPolicy,
        metrics: Metrics,
        engine_api_key: str | None = None,
    ) -> None:
        self._accounts = accounts
        self._engines = engines
        self._transport = transport
        self._policy = policy
        self._levels = levels.under(policy)
        self._placement = placement
        self._metrics = metrics
        self._engine_api_key = engine_api_key
        self._turn = 0
        self._hold = HoldQueue(engines)
        self.leaving = False
        engines.listen(lambda: accounts.keep_only({engine.id for engine in engines.all()}))

    def held(self) -> Mapping[str, tuple[int, float]]:
        """By pool: how many calls wait here for an engine, and for how many seconds the longest of them has."""
        return self._hold.held()

    def leave(self) -> None:
        """The gateway is to end: calls under way go on, those that wait for an engine are refused from now on."""
        self.leaving = True
        self._hold.close()

    @asynccontextmanager
    async def serve(self, call: Forward) -> AsyncIterator[Answer]:
        """Forward one call; leaving before its body is read to the end aborts it in the engine.

        Raises :class:`ModelNotFound`, :class:`Unavailable`, :class:`QueueFull`, :class:`QueueWaitExceeded`,
        :class:`Ended`, :class:`EngineFailed`.
        """
        self._check_model(call.model)
        account = await self._accounts.open(call)
        try:
            async with self._answered(call, account) as answer:
                yield answer
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not account.ended or task is None:
                raise
            task.uncancel()
            raise Ended("The session was ended while this call was under way.") from None
        finally:
            self._accounts.abandon(account)

    def _check_model(self, model: str) -> None:
        if self._engines.ready(model):
            return
        served = ", ".join(sorted(str(entry.get("id")) for entry in self._engines.models()))
        if not served:
            raise Unavailable("No engine is up; try again in a moment, or look at /readyz.")
        if any(pool.model == model for pool in self._engines.all_pools()):
            self._hold.check_room(model)
            return
        raise ModelNotFound(f"The model {model!r} is not served here; there is {served}.", param="model")

    @asynccontextmanager
    async def _answered(self, call: Forward, account: Account) -> AsyncIterator[Answer]:
        entry_s = entry_service(
            self._policy, critical_path_s=account.admission.inherited_s, service_s=account.admission.service_s
        )
        level = level_of(self._levels, entry_s)
        told = CallHeaders(
            program=account.ref.program,
            call=account.ref.call,
            service_s=entry_s,
            program_wait_s=account.admission.wait_s,
            program_service_s=account.admission.service_s,
            policy=self._policy,
        )
        headers = headers_for_engine(call.headers, told, level=level, api_key=self._engine_api_key)
        async with AsyncExitStack() as stack:
            engine, answer = await self._taken(stack, call, account, headers, entry_s)
            report = _report_header(answer)
            returned = headers_for_client(
                answer.headers, engine=engine.id, level=level, report=report, held_s=account.held_s
            )
            streamed = answer.status == 200 and _is_event_stream(answer)
            if streamed:
                body = self._streamed(account, answer)
            else:
                whole = await self._whole(account, answer, report)
                returned = (*returned, ("content-length", str(len(whole))))
                body = _once(whole)
            async with aclosing(body):
                yield Answer(status=answer.status, headers=returned, body=body, streamed=streamed)

    async def _taken(
        self, stack: AsyncExitStack, call: Forward, account: Account, headers: dict[str, str], entry_s: float
    ) -> tuple[Engine, EngineAnswer]:
        """Send the call to the engine that placement chooses, and on to others where one does not answer."""
        tried: set[EngineId] = set()
        while True:
            if (placed := self._place(call, account, tried)) is None:
                with self._accounts.holding(account):
                    await self._hold.wait(call.model, service_s=entry_s, arrived=account.arrived, held_s=account.held_s)
                headers[PROGRAM_WAIT_HEADER] = repr(account.admission.wait_s + account.held_s)
                tried.clear()
                continue
            engine, home = placed
            self._accounts.dispatch(account, engine, home=home)
            try:
                answer = await self._asked(stack, engine, call, headers)
            except NotTaken:
                self._engines.failed(engine.id)
                tried.add(engine.id)
                self._metrics.retries.inc()
            except Silent as silent:
                raise EngineSilent(f"The engine {engine.id} did not begin to answer in time.") from silent
            else:
                return engine, answer

    async def _asked(
        self, stack: AsyncExitStack, engine: Engine, call: Forward, headers: dict[str, str]
    ) -> EngineAnswer:
        """One engine's answer. An error of an engine that ends is not its answer: such a call was not taken."""
        async with AsyncExitStack() as attempt:
            answer = await attempt.enter_async_context(self._transport.post(engine.url + call.path, headers, call.body))
            if answer.status >= _ENGINES_FAULT and await self._engines.is_leaving(engine):
                raise NotTaken(f"The engine {engine.id} ended with the call in its hands.")
            await stack.enter_async_context(attempt.pop_all())
        return answer

    def _place(self, call: Forward, account: Account, tried: set[EngineId]) -> tuple[Engine, bool] | None:
        held = self._accounts.engine_calls(account)
        engines = {engine.id: engine for engine in self._engines.ready(call.model) if engine.id not in tried}
        if not engines:
            return None
        self._turn += 1
        placed: Placement = place(
            self._placement,
            [EngineLoad(engine.id, held.get(engine.id, 0), engine.draining) for engine in engines.values()],
            tokens=call.prompt_tokens,
            home=account.admission.home,
            turn=self._turn - 1,
        )
        self._metrics.placements.labels(placed.reason.value).inc()
        return engines[placed.engine], placed.home

    async def _whole(self, account: Account, answer: EngineAnswer, report: Report | None) -> bytes:
        """A whole answer, settled before it is passed on."""
        try:
            body = b"".join([piece async for piece in answer.body])
        except (Broken, Silent) as failure:
            raise _failed(account, failure) from failure
        if answer.status == 200:
            await self._accounts.complete(account, report, usage=None if report else usage_of(body))
        else:
            await self._accounts.refused(account)
        return body

    async def _streamed(self, account: Account, answer: EngineAnswer) -> AsyncGenerator[bytes]:
        """A stream piece by piece; its last event is passed on once the call is settled."""
        stream = EventStream()
        try:
            async for piece in answer.body:
                self._accounts.heard(account)
                if passed := stream.feed(piece):
                    yield passed
        except (Broken, Silent) as failure:
            raise _failed(account, failure) from failure
        rest = stream.finish()
        usage = usage_of(stream.last_event) or (0, stream.events)
        await self._accounts.complete(account, stream.report, usage=usage, streamed=True)
        if rest:
            yield rest


async def _once(whole: bytes) -> AsyncGenerator[bytes]:
    yield whole


def _failed(account: Account, failure: Broken | Silent) -> EngineFailed:
    name = account.engine.id if account.engine else "?"
    if isinstance(failure, Silent):
        return EngineSilent(f"The engine {name} fell silent in the middle of its answer; send the call again.")
    return EngineFailed(f"The engine {name} broke off in the middle of its answer; send the call again.")


def _report_header(answer: EngineAnswer) -> Report | None:
    given = answer.header(REPORT_HEADER)
    try:
        return None if given is None else Report.from_json(given)
    except MalformedReport:
        return None


def _is_event_stream(answer: EngineAnswer) -> bool:
    return (answer.header("content-type") or "").startswith("text/event-stream")
