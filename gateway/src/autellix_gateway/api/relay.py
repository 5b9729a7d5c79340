"""Passes an engine's answer to a client, and a client's leaving to the engine.

As soon as the client is gone the call is aborted, also while the engine has not said a word yet. What goes wrong
before the first byte is an ordinary error response; after it, in a stream, an error event.
"""

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from autellix_gateway.api.errors import error_event
from autellix_gateway.calls.forwarding import Calls
from autellix_gateway.calls.messages import Forward
from autellix_gateway.errors import Refusal

__all__ = ["Relay"]


class Relay(Response):
    """The response to a call, as an ASGI application of its own."""

    def __init__(self, calls: Calls, call: Forward) -> None:
        super().__init__()
        self._calls = calls
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the call while the client is there. Raises a Refusal if nothing was sent yet."""
        pump = asyncio.create_task(self._pump(send))
        gone = asyncio.create_task(_client_gone(receive))
        try:
            await asyncio.wait((pump, gone), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ours = pump.done()
            for task in (pump, gone):
                task.cancel()
            await asyncio.wait((pump, gone))
        if ours:
            pump.result()

    async def _pump(self, send: Send) -> None:
        streaming = False
        try:
            async with self._calls.serve(self._call) as answer:
                headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                streaming = answer.streamed
                async for piece in answer.body:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
        except Refusal as refusal:
            if not streaming:
                raise
            await send({"type": "http.response.body", "body": error_event(refusal), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
