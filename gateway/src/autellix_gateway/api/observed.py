"""Around every request: its id, in and out, and its count by route and status.

A gateway that is to end closes each connection after its response, so that clients go to another one meanwhile.
"""

import secrets
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autellix_gateway.metrics import Metrics

__all__ = ["Observed"]

_HEADER = "x-request-id"
_LONGEST = 128


class Observed:
    """Pure ASGI middleware. A request id that the client sent is kept, if it can be one."""

    def __init__(self, app: ASGIApp, metrics: Metrics, leaving: Callable[[], bool]) -> None:
        self._app = app
        self._metrics = metrics
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(_HEADER, "")
        usable = given.isascii() and given.isprintable() and 0 < len(given) <= _LONGEST
        request_id = given if usable else f"req_{secrets.token_hex(12)}"
        MutableHeaders(scope=scope)[_HEADER] = request_id

        async def observed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[_HEADER] = request_id
                if self._leaving():
                    MutableHeaders(scope=message)["connection"] = "close"
                route = getattr(scope.get("route"), "path", "unknown")
                self._metrics.requests.labels(route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, observed)
