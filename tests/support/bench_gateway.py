"""A gateway for the live driver's tests that does what the call's length says, and keeps its sessions' books."""

import asyncio
import json
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["FAILS", "HANGS", "BookedGateway"]

FAILS, HANGS = 13, 14
"""Calls of so many tokens."""


class BookedGateway:
    """``asked`` holds each call's headers and body; ``sessions`` each token's state."""

    def __init__(self, *, opens: bool = True, ends: bool = True) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.sessions: dict[str, str] = {}
        self._opens, self._ends = opens, ends
        self.app = Starlette(
            routes=[
                Route("/v1/sessions", self._open, methods=["POST"]),
                Route("/v1/sessions/{id}", self._end, methods=["DELETE"]),
                Route("/v1/completions", self._call, methods=["POST"]),
            ]
        )

    async def _open(self, request: Request) -> Response:
        if not self._opens:
            return JSONResponse({"error": {"message": "there are too many"}}, 429)
        assert json.loads(await request.body()) == {"model": "m"}
        name = f"s{len(self.sessions)}"
        self.sessions[name] = "open"
        return JSONResponse({"id": name, "token": f"token of {name}"}, 201)

    async def _end(self, request: Request) -> Response:
        if not self._ends:
            return Response(status_code=500)
        self.sessions[request.path_params["id"]] = "ended"
        return JSONResponse({})

    async def _call(self, request: Request) -> Response:
        given = json.loads(await request.body())
        self.asked.append((dict(request.headers), given))
        await asyncio.sleep(0.1)
        if given["max_tokens"] == FAILS:
            return Response("the engine is gone", 503)
        if given["max_tokens"] == HANGS:
            await asyncio.Event().wait()
        text, tokens = "word " * given["max_tokens"], given["max_tokens"]
        return JSONResponse({"choices": [{"text": text}], "usage": {"prompt_tokens": 7, "completion_tokens": tokens}})
