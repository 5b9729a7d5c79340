"""A gateway for the client's unit tests: the sessions API and one chat answer, on a loopback port, in a thread."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

__all__ = ["Gateway", "Seen", "a_session", "running_gateway"]


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Gateway:
    """What the tests look at and turn."""

    base_url: str = ""
    seen: list[Seen] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    refusals: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """By method and path, such as "POST /v1/sessions": the status and body to answer with instead."""

    def asked(self, method: str, path: str) -> list[Seen]:
        """The requests that arrived for one method and path."""
        return [request for request in self.seen if (request.method, request.path) == (method, path)]


def a_session(session_id: str = "s-1", **fields: Any) -> dict[str, Any]:
    """A session as JSON, all fields there."""
    now = datetime.now(UTC).isoformat()
    return {
        "id": session_id,
        "model": "autellix-tiny",
        "tenant": "default",
        "state": "idle",
        "calls": 0,
        "active_calls": 0,
        "service_seconds": 0.0,
        "wait_seconds": 0.0,
        "critical_path_seconds": 0.0,
        "level": 0,
        "engines": [],
        "prompt_tokens": 0,
        "output_tokens": 0,
        "created_at": now,
        "last_arrival_at": None,
        "last_completion_at": None,
        **fields,
    }


def _refusal(status: int, code: str, message: str) -> web.Response:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}
    return web.json_response(body, status=status)


def _application(gateway: Gateway) -> web.Application:
    @web.middleware
    async def note(request: web.Request, handler: Any) -> web.StreamResponse:
        text = await request.text()
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = json.loads(text) if text else None
        gateway.seen.append(Seen(request.method, request.path, headers, body))
        refusal = gateway.refusals.get(f"{request.method} {request.path}")
        if refusal is None:
            answer: web.StreamResponse = await handler(request)
            return answer
        status, content = refusal
        if isinstance(content, str):
            return web.Response(status=status, text=content)
        return web.json_response(content, status=status)

    async def start(request: web.Request) -> web.Response:
        session = a_session(f"s-{len(gateway.sessions) + 1}")
        gateway.sessions[session["id"]] = session
        return web.json_response({**session, "token": f"token-of-{session['id']}"}, status=201)

    async def listed(request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(gateway.sessions.values())})

    async def one(request: web.Request) -> web.Response:
        session = gateway.sessions.get(request.match_info["id"])
        if session is None:
            return _refusal(404, "session_not_found", "There is no such session.")
        if request.method == "DELETE":
            session["state"] = "ended"
        return web.json_response(session)

    async def chat(request: web.Request) -> web.Response:
        token = request.headers.get("x-autellix-session", "")
        session = gateway.sessions[token.removeprefix("token-of-")]
        session["calls"] += 1
        message = {"role": "assistant", "content": "noise"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        body = {"id": "c", "object": "chat.completion", "created": 0, "model": "autellix-tiny"}
        return web.json_response({**body, "choices": [choice], "usage": usage})

    app = web.Application(middlewares=[note])
    app.router.add_post("/v1/sessions", start)
    app.router.add_get("/v1/sessions", listed)
    app.router.add_get("/v1/sessions/{id}", one)
    app.router.add_delete("/v1/sessions/{id}", one)
    app.router.add_post("/v1/chat/completions", chat)
    return app


@contextmanager
def running_gateway() -> Iterator[Gateway]:
    """The gateway, for as long as the block lasts."""
    gateway = Gateway()
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        runner = web.AppRunner(_application(gateway))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        gateway.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        ready.set()
        await over.wait()
        await runner.cleanup()

    def run() -> None:
        loop.run_until_complete(serve())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    assert ready.wait(timeout=30)
    try:
        yield gateway
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(timeout=30)
