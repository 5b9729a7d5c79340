"""The simulated engine as an ASGI application, and as a server."""

import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from autellix_bench.server import asked as bodies
from autellix_bench.server import metrics
from autellix_bench.server.answers import Answer, Cut
from autellix_bench.server.knobs import FailureKind, Knobs
from autellix_bench.server.serving import Serving
from autellix_core.wire import STATE_PATH, CallHeaders

__all__ = ["application", "run"]


def application(serving: Serving, *, answer: Callable[..., Response] = Answer) -> Starlette:
    """The OpenAI API, health, metrics and ``/autellix/state`` of one simulated engine."""
    knobs = serving.knobs

    async def health(_: Request) -> Response:
        return Response()

    async def version(_: Request) -> Response:
        return JSONResponse({"version": serving.model.state(now=serving.clock())["version"]})

    async def models(_: Request) -> Response:
        model = {"id": knobs.model, "object": "model", "created": int(time.time()), "owned_by": "autellix"}
        return JSONResponse({"object": "list", "data": [{**model, "max_model_len": knobs.longest_tokens}]})

    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition(serving), media_type=metrics.CONTENT_TYPE_LATEST)

    async def state(_: Request) -> Response:
        return JSONResponse(serving.model.state(now=serving.clock()))

    async def completions(request: Request) -> Response:
        return await call(request, chat=False)

    async def chat(request: Request) -> Response:
        return await call(request, chat=True)

    async def call(request: Request, *, chat: bool) -> Response:
        headers, _ = CallHeaders.from_headers(dict(request.headers), policy=knobs.engine.policy)
        try:
            asked = bodies.read(await request.body(), knobs, chat=chat)
        except bodies.Refused as refused:
            return _error(str(refused), refused.status)
        failure = serving.failures.draw()
        if failure is FailureKind.ERROR:
            return _error("This call was chosen to fail.", 500)
        return answer(serving, asked, serving.job(asked, headers), reported=headers is not None, failure=failure)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with serving.running():
            yield

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/health", health),
            Route("/version", version),
            Route("/metrics", exposition),
            Route("/v1/models", models),
            Route(STATE_PATH, state),
            Route("/v1/completions", completions, methods=["POST"]),
            Route("/v1/chat/completions", chat, methods=["POST"]),
        ],
    )


def run(knobs: Knobs, *, host: str, port: int) -> None:
    """Serve until SIGINT or SIGTERM."""
    logging.getLogger("uvicorn.error").addFilter(_is_not_intended)
    uvicorn.run(application(Serving(knobs)), host=host, port=port, log_level="warning", timeout_graceful_shutdown=1)


def _is_not_intended(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], Cut))


def _error(message: str, status: int) -> JSONResponse:
    kind = {404: "NotFoundError", 500: "InternalServerError"}.get(status, "BadRequestError")
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": status}}, status)
