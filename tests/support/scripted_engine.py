"""An engine whose every word is scripted, and a way to serve applications on loopback inside a test.

The body of a call says what is to happen, in ``"script": {...}``: ``tokens`` (how many), ``service_s`` and ``wait_s``
(what the report says), ``hold`` (wait for :meth:`ScriptedEngine.release` after that many tokens), ``break_after`` (cut
the connection after that many), ``status`` (refuse). It speaks the adapter's contract unless it is a stock engine.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from autellix_core import wire
from autellix_core.wire import Report

__all__ = ["MODEL", "REFUSAL", "ScriptedEngine", "abrupt_engine", "served"]

MODEL = "scripted"
REFUSAL = {"error": {"message": "the engine says no", "type": "BadRequestError", "param": None, "code": 400}}


class ScriptedEngine:
    """One engine. ``seen`` holds the headers of every call, in order; ``bodies`` what was sent back, per call."""

    def __init__(self, *, stock: bool = False, max_calls: int | None = None) -> None:
        self.stock = stock
        self.seen: list[dict[str, str]] = []
        self.asked: list[bytes] = []
        self.sent: list[bytes] = []
        self.inside = 0
        self.aborted: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        """A client left before its answer was whole."""
        self.held = asyncio.Event()
        """A call waits to be released."""
        self._released = asyncio.Event()
        self.app = FastAPI()
        self.app.add_api_route("/health", self._health, methods=["GET"])
        self.app.add_api_route("/v1/models", self._models, methods=["GET"])
        if not stock:
            self.app.add_api_route(wire.STATE_PATH, self._state, methods=["GET"])
        for path in ("/v1/chat/completions", "/v1/completions"):
            self.app.add_api_route(path, self._call, methods=["POST"], response_model=None)

    def release(self) -> None:
        """Let every call that is held go on, and those to come."""
        self._released.set()

    def _health(self) -> dict[str, Any]:
        return {}

    def _models(self) -> dict[str, Any]:
        return {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "test", "created": 0}]}

    def _state(self) -> dict[str, Any]:
        return {"aborted": self.aborted}

    async def _call(self, request: Request) -> Response:
        self.seen.append(dict(request.headers))
        body = await request.body()
        self.asked.append(body)
        given = json.loads(body)
        script = given.get("script", {})
        if "status" in script:
            refusal = {
                "error": {"message": "the engine says no", "type": "BadRequestError", "param": None, "code": 400}
            }
            return JSONResponse(refusal, status_code=script["status"])
        report = Report(
            call=request.headers.get(wire.CALL_HEADER, ""),
            service_s=script.get("service_s", 0.5),
            wait_s=script.get("wait_s", 0.25),
            level=0,
            prompt_tokens=11,
            output_tokens=script.get("tokens", 3),
        )
        return _Scripted(self, script, report, streamed=bool(given.get("stream")), chat="messages" in given)


class _Scripted(Response):
    def __init__(
        self, engine: ScriptedEngine, script: dict[str, Any], report: Report, *, streamed: bool, chat: bool
    ) -> None:
        super().__init__()
        self._engine, self._script, self._report = engine, script, report
        self._streamed, self._chat = streamed, chat

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._stream(send) if self._streamed else self._whole(send))
        gone = asyncio.create_task(_gone(receive))
        self._engine.inside += 1
        await asyncio.wait((work, gone), return_when=asyncio.FIRST_COMPLETED)
        self._engine.inside -= 1
        if not work.done():
            self._engine.aborted.append({"program": "", "report": json.loads(self._report.to_json())})
            self._engine.gone.set()
        for task in (work, gone):
            task.cancel()
        await asyncio.wait((work, gone))
        if not work.cancelled():
            work.result()

    async def _stream(self, send: Send) -> None:
        sent = bytearray()

        async def say(data: bytes) -> None:
            sent.extend(data)
            await send({"type": "http.response.body", "body": data, "more_body": True})

        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-engine", b"kept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(self._script.get("tokens", 3)):
            await self._pause(number)
            delta = {"delta": {"content": f"wörd{number} "}} if self._chat else {"text": f"wörd{number} "}
            choice = {"index": 0, "finish_reason": None, **delta}
            event = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": MODEL, "choices": [choice]}
            await say(b"data: " + json.dumps(event).encode() + b"\n\n")
        await say(b"data: [DONE]\n\n")
        self._engine.sent.append(bytes(sent))
        if not self._engine.stock:
            await say(self._report.to_comment())
        await send({"type": "http.response.body", "body": b""})

    async def _whole(self, send: Send) -> None:
        count = self._script.get("tokens", 3)
        for number in range(count):
            await self._pause(number)
        words = "".join(f"wörd{number} " for number in range(count))
        said = {"message": {"role": "assistant", "content": words}} if self._chat else {"text": words}
        usage = {"prompt_tokens": 11, "completion_tokens": count, "total_tokens": 11 + count}
        kind = "chat.completion" if self._chat else "text_completion"
        choice = {"index": 0, "finish_reason": "length", **said}
        answer = {"id": "c", "object": kind, "created": 0, "model": MODEL, "choices": [choice], "usage": usage}
        body = json.dumps(answer, indent=1).encode()  # not the form that our own JSON would have
        self._engine.sent.append(body)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if not self._engine.stock:
            headers.append((wire.REPORT_HEADER.encode(), self._report.to_json().encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _pause(self, number: int) -> None:
        if self._script.get("break_after") == number:
            raise _CutOffError
        if self._script.get("hold") == number:
            self._engine.held.set()
            await self._engine._released.wait()


class _CutOffError(Exception):
    """The engine dies here; the server answers by closing the connection."""


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def served(app: ASGIApp, *, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on loopback, in this event loop; its base URL."""
    config = uvicorn.Config(app, port=port, log_level="critical", timeout_graceful_shutdown=1, lifespan="auto")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        if task.done():
            task.result()
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def abrupt_engine() -> AsyncIterator[str]:
    """An engine that is healthy, but closes the connection of every call before its first byte; its base URL."""
    models = json.dumps({"object": "list", "data": [{"id": MODEL, "object": "model"}]}).encode()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if head.startswith(b"GET"):
            found = not head.startswith(b"GET " + wire.STATE_PATH.encode())
            status = b"200 OK" if found else b"404 Not Found"
            length = str(len(models)).encode()
            writer.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: " + length + b"\r\nconnection: close\r\n\r\n")
            writer.write(models)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
