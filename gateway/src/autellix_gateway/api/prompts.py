"""Reads off a call's body what the gateway must know: the model, whether it streams, how long its prompt is."""

import json
from collections.abc import Mapping
from typing import Any

from autellix_core.wire import ErrorCode
from autellix_gateway.errors import BadRequest

__all__ = ["decoded", "model_of", "prompt_tokens"]


def decoded(body: bytes) -> Mapping[str, Any]:
    """The body as an object. Raises :class:`BadRequest`."""
    try:
        given = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"The body is not valid JSON: {error}.", code=ErrorCode.INVALID_JSON) from None
    if not isinstance(given, dict):
        raise BadRequest("The body must be a JSON object.", code=ErrorCode.INVALID_JSON)
    return given


def model_of(given: Mapping[str, Any]) -> str:
    """The model asked for. Raises :class:`BadRequest`; ``stream``, which decides the answer's form, is checked too."""
    model = given.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("model must be the name of a model, as /v1/models lists them.", param="model")
    if not isinstance(given.get("stream", False), bool | None):
        raise BadRequest("stream must be true or false.", param="stream")
    return model


def prompt_tokens(given: Mapping[str, Any], chars_per_token: float) -> int:
    """About how many tokens the prompt has: exact for token ids, else by its characters.

    A chat's messages count with everything they carry (tool calls, their results), and so do the tools on offer.
    """
    prompt = given.get("prompt")
    if isinstance(prompt, list) and prompt and all(isinstance(token, int) for token in prompt):
        return len(prompt)
    if isinstance(prompt, list) and prompt and all(isinstance(part, list) for part in prompt):
        return max(len(part) for part in prompt)
    parts = (given.get(name) for name in ("prompt", "messages", "tools"))
    return round(sum(_characters(part) for part in parts) / chars_per_token)


def _characters(part: object) -> int:
    """Characters of all text inside, without recursion: a body may be nested as deeply as it likes."""
    count, left = 0, [part]
    while left:
        match left.pop():
            case str(text):
                count += len(text)
            case list(items):
                left += items
            case dict(fields):
                left += fields.values()
    return count
