"""A call as it came in, and its answer as it goes out: which headers cross the gateway, and which are ours."""

from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

from autellix_core import wire
from autellix_core.wire import CallHeaders, Report
from autellix_gateway.identity import Named

__all__ = ["Answer", "Forward", "headers_for_client", "headers_for_engine"]

_HOP_BY_HOP = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"))
_NOT_FORWARDED = _HOP_BY_HOP | {
    "accept-encoding",
    "authorization",
    "content-length",
    "cookie",
    "expect",
    "host",
    "proxy-authorization",
    "x-api-key",
    wire.STOCK_PRIORITY_HEADER,
}
_NOT_RETURNED = _HOP_BY_HOP | {"content-length", "date", "server", "x-request-id"}


@dataclass(frozen=True, slots=True)
class Forward:
    """A call as its client sent it, and what the gateway read off it."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    model: str
    prompt_tokens: int
    """An estimate; exact where the prompt came as token ids."""
    named: Named


@dataclass(frozen=True, slots=True)
class Answer:
    """What the client gets. A streamed ``body`` may raise a Refusal half-way."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: AsyncIterator[bytes]
    streamed: bool


def headers_for_engine(
    given: Mapping[str, str], call: CallHeaders, *, level: int, api_key: str | None
) -> dict[str, str]:
    """The client's headers without what ends at the gateway, and ours; a client's own copies of ours are dropped."""
    forwarded = {
        name: value
        for name, value in given.items()
        if name not in _NOT_FORWARDED and not name.startswith(wire.HEADER_PREFIX)
    }
    forwarded |= call.to_headers()
    forwarded[wire.STOCK_PRIORITY_HEADER] = str(level)
    forwarded["accept-encoding"] = "identity"
    if api_key is not None:
        forwarded["authorization"] = f"Bearer {api_key}"
    return forwarded


def headers_for_client(
    given: Iterable[tuple[str, str]], *, engine: str, level: int, report: Report | None, held_s: float = 0.0
) -> tuple[tuple[str, str], ...]:
    """The engine's headers without what ends here, and where the call ran, at which level, and what it cost.

    Its wait is that in the engine's queues and before it, in the gateway.
    """
    returned = [
        (name, value) for name, value in given if name not in _NOT_RETURNED and not name.startswith(wire.HEADER_PREFIX)
    ]
    returned.append((wire.ENGINE_HEADER, engine))
    returned.append((wire.LEVEL_HEADER, str(level)))
    if report is not None:
        returned.append((wire.WAIT_SECONDS_HEADER, f"{report.wait_s + held_s:.6f}"))
        returned.append((wire.SERVICE_SECONDS_HEADER, f"{report.service_s:.6f}"))
    return tuple(returned)
