"""``GET /autellix/state``: the scheduler's queues, and the reports that no response could carry any more.

A client that leaves gets no report in band, so the engine keeps the last reports of aborted calls and the gateway
fetches them here; call ids make each count once. A stream that ended on a stop string is among them too (to the engine
that is an abort one step later): its report in band is the one that counts.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from autellix_engine.carrier import SNAPSHOT

__all__ = ["answer_state", "snapshot"]

_PATIENCE_S = 10.0

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def snapshot(client: Any) -> dict[str, Any]:
    """The scheduler's state, asked of the engine process. Raises whatever that died of, or TimeoutError."""
    state: dict[str, Any] = await asyncio.wait_for(client.engine_core.call_utility_async(SNAPSHOT), _PATIENCE_S)
    return state


async def answer_state(scope: MutableMapping[str, Any], send: Send, client: Any) -> None:
    """Answer the request; ``client`` is vLLM's engine client, or None while there is none."""
    if scope["method"] not in {"GET", "HEAD"}:
        await _answer(send, 405, {"error": "The engine's state can only be read: use GET."}, allow=b"GET, HEAD")
        return
    if client is None:
        await _answer(send, 503, {"error": "The engine is still starting; ask again."})
        return
    try:
        state = await snapshot(client)
    except Exception as error:  # noqa: BLE001 - whatever the engine process died of, the caller gets an answer
        reason = f"The engine gave no state: {type(error).__name__} {error}".rstrip()
        await _answer(send, 503, {"error": f"{reason}. Is --scheduler-cls set to autellix_engine's?"})
        return
    await _answer(send, 200, state)


async def _answer(send: Send, status: int, content: object, *, allow: bytes | None = None) -> None:
    body = json.dumps(content, separators=(",", ":")).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if allow is not None:
        headers.append((b"allow", allow))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
