"""Every error in the shape of the API that was called: OpenAI's ``{"error": {message, type, param, code}}``."""

import json
import logging
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from autellix_core.wire import ErrorCode
from autellix_gateway.errors import BadRequest, Refusal

__all__ = ["error_event", "error_response", "install"]

_LOG = logging.getLogger(__name__)


def error_response(refusal: Refusal) -> Response:
    """A refusal as a whole response."""
    headers = {} if refusal.retry_after_s is None else {"retry-after": str(refusal.retry_after_s)}
    return JSONResponse(_shape(refusal), status_code=refusal.status, headers=headers)


def error_event(refusal: Refusal) -> bytes:
    """A refusal as the last event of a stream that had begun."""
    return b"data: " + json.dumps(_shape(refusal)).encode() + b"\n\n"


def install(app: FastAPI) -> None:
    """Answer in this shape whatever goes wrong in a route, or before one is found."""

    @app.exception_handler(Refusal)
    async def refused(_: Request, refusal: Refusal) -> Response:
        return error_response(refusal)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        if first["type"] == "json_invalid":
            return error_response(BadRequest("The body is not valid JSON.", code=ErrorCode.INVALID_JSON))
        return error_response(BadRequest(f"{where or 'The body'}: {first['msg']}.", param=where or None))

    @app.exception_handler(HTTPException)
    async def not_routed(request: Request, error: HTTPException) -> Response:
        if error.status_code == 404:
            message = f"There is nothing at {request.url.path}; see /docs for what this gateway serves."
        else:
            message = f"{request.method} {request.url.path}: {error.detail}."
        refusal = BadRequest(message, code=ErrorCode.NOT_FOUND if error.status_code == 404 else None)
        refusal.status = error.status_code
        response = error_response(refusal)
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def broken(request: Request, error: Exception) -> Response:
        _LOG.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return error_response(Refusal("The gateway failed on this request; its log has the reason."))


def _shape(refusal: Refusal) -> dict[str, Any]:
    return {
        "error": {
            "message": refusal.message,
            "type": refusal.kind,
            "param": refusal.param,
            "code": refusal.code.value,
        }
    }
