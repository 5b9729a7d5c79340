"""``/v1/chat/completions``, ``/v1/completions`` and ``/v1/models``."""

from typing import Any

from fastapi import APIRouter, Request, Response

from autellix_gateway.api.prompts import decoded, model_of, prompt_tokens
from autellix_gateway.api.relay import Relay
from autellix_gateway.calls.forwarding import Calls
from autellix_gateway.calls.messages import Forward
from autellix_gateway.engines.registry import Engines
from autellix_gateway.errors import BodyTooLarge, ModelNotFound
from autellix_gateway.identity import Identities

__all__ = ["inference_routes"]


def inference_routes(
    *, calls: Calls, engines: Engines, identities: Identities, chars_per_token: float, max_body_bytes: int
) -> APIRouter:
    """The routes that agents call."""
    routes = APIRouter(tags=["inference"])

    async def serve(request: Request) -> Response:
        headers = {name: value for name, value in request.headers.items()}  # noqa: C416 - lower-cased, last one wins
        named = identities.named(headers)
        body = await _body(request, max_body_bytes)
        given = decoded(body)
        call = Forward(
            path=request.url.path,
            headers=headers,
            body=body,
            model=model_of(given),
            prompt_tokens=prompt_tokens(given, chars_per_token),
            named=named,
        )
        return Relay(calls, call)

    for path in ("/v1/chat/completions", "/v1/completions"):
        routes.add_api_route(path, serve, methods=["POST"], response_model=None, name=path.removeprefix("/v1/"))

    @routes.get("/v1/models")
    async def models(request: Request) -> dict[str, Any]:
        identities.tenant(request.headers)
        return {"object": "list", "data": engines.models()}

    @routes.get("/v1/models/{model:path}")
    async def model(request: Request, model: str) -> dict[str, Any]:
        identities.tenant(request.headers)
        for entry in engines.models():
            if entry.get("id") == model:
                return entry
        raise ModelNotFound(f"The model {model!r} is not served here; see /v1/models.", param="model")

    return routes


async def _body(request: Request, most: int) -> bytes:
    """The whole body, unless it is larger than the gateway takes; then no more of it is read than shows that."""
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > most:
            raise BodyTooLarge(f"The body is larger than the {most} bytes that this gateway takes; shorten the prompt.")
        pieces.append(piece)
    return b"".join(pieces)
