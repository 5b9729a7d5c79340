"""The API process: a call's headers go down to the scheduler, its report comes back up. No body is rewritten.

:class:`ProgramMiddleware` is what vLLM's ``--middleware`` names, a plain ASGI class. It reads the headers of
:class:`autellix_core.wire.CallHeaders` and wraps the ``generate`` of vLLM's engine client once: through a context
variable every request that the handler sends to the engine carries the call, whichever API it came in by. A scrape of
vLLM's ``/metrics`` gets the scheduler's state first.

The report of a whole response is a header of it; a stream ends with it as an SSE comment, which clients ignore. Only
a call that came with a call id gets one: a plain client of the engine sees plain vLLM.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from contextlib import aclosing
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from autellix_core.errors import MalformedReport
from autellix_core.wire import HEADER_PREFIX, REPORT_HEADER, STATE_PATH, CallHeaders, Report
from autellix_engine.carrier import KEY, pack_call, take_report
from autellix_engine.metrics import METRICS_PATH, EngineMetrics
from autellix_engine.state import answer_state, snapshot

__all__ = ["ProgramMiddleware"]

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SEEN = "autellix.middleware"

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class _Exchange:
    """One HTTP call while it is served. ``report`` is cumulative over its engine requests, so the last one wins."""

    id: str
    headers: Mapping[str, str]
    report: Report | None = None

    def take(self, given: Mapping[str, Any]) -> None:
        try:
            self.report = Report.from_mapping(given)
        except MalformedReport:
            logger.exception("The scheduler's report is not what this middleware understands.")


_exchange: ContextVar[_Exchange | None] = ContextVar("autellix_exchange", default=None)


class ProgramMiddleware:
    """ASGI middleware of an engine. A second layer of it, should it be named twice, does nothing."""

    def __init__(self, app: App, metrics: EngineMetrics | None = None) -> None:
        self._app = app
        self._metrics = metrics or EngineMetrics()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or _SEEN in scope:
            await self._app(scope, receive, send)
            return
        scope[_SEEN] = True
        client = getattr(getattr(scope.get("app"), "state", None), "engine_client", None)
        if scope["path"] == STATE_PATH:
            await answer_state(scope, send, client)
            return
        if client is not None:
            _wrap_generate(client)
            if scope["path"] == METRICS_PATH:
                await self._refresh(client)
        exchange = _Exchange(id=uuid4().hex, headers=_ours(scope))
        token = _exchange.set(exchange)
        try:
            await self._app(scope, receive, _Reporter(exchange, send) if _wants_report(exchange) else send)
        finally:
            _exchange.reset(token)

    async def _refresh(self, client: Any) -> None:
        try:
            self._metrics.show(await snapshot(client))
        except Exception as error:  # noqa: BLE001 - vLLM's own metrics are shown whatever ours died of
            logger.warning("The engine gave no state for its metrics: %s %s", type(error).__name__, error)


class _Reporter:
    """A ``send`` that adds the report to the response."""

    def __init__(self, exchange: _Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self._streams = False

    async def __call__(self, message: Message) -> None:
        report = self._exchange.report
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            self._streams = any(
                name.lower() == b"content-type" and value.startswith(b"text/event-stream") for name, value in headers
            )
            if not self._streams and report is not None:
                # A whole response starts when the engine is done with the call.
                headers.append((REPORT_HEADER.encode(), report.to_json().encode()))
                message = {**message, "headers": headers}
        elif report is not None and self._ends_stream(message):
            message = {**message, "body": message.get("body", b"") + report.to_comment()}
        await self._send(message)

    def _ends_stream(self, message: Message) -> bool:
        last = message["type"] == "http.response.body" and not message.get("more_body", False)
        return self._streams and last


def _ours(scope: Scope) -> dict[str, str]:
    """The call's headers that are ours, by lower-case name."""
    decoded = ((name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"])
    return {name: value for name, value in decoded if name.startswith(HEADER_PREFIX)}


def _wants_report(exchange: _Exchange) -> bool:
    headers, absurd = CallHeaders.from_headers(exchange.headers)
    if absurd:
        logger.debug("Ignored or clamped absurd headers: %s.", ", ".join(absurd))
    return headers is not None


def _wrap_generate(client: Any) -> None:
    """Make every ``generate`` of this engine client carry the call that it is made for. Once a client."""
    generate = client.generate
    if getattr(generate, KEY, False):
        return

    def carrying(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        # Read here, in the handler's context: a stream is iterated later and elsewhere.
        exchange = _exchange.get()
        params = kwargs["sampling_params"] if "sampling_params" in kwargs else args[1]
        if exchange is not None:
            params.extra_args = pack_call(params.extra_args, exchange.headers, exchange.id)
        return _tapped(generate(*args, **kwargs), exchange)

    setattr(carrying, KEY, True)
    client.generate = carrying


async def _tapped(outputs: Any, exchange: _Exchange | None) -> AsyncIterator[Any]:
    """The engine's outputs as they are, with the report taken out."""
    async with aclosing(outputs):
        async for output in outputs:
            if output.kv_transfer_params is not None:
                output.kv_transfer_params, report = take_report(output.kv_transfer_params)
                if report is not None and exchange is not None:
                    exchange.take(report)
            yield output
