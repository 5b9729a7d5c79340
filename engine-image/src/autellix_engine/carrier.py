"""What passes between the API process and the engine process, inside what vLLM passes anyway.

Towards the engine: ``sampling_params.extra_args["autellix"]`` holds the call's headers. Back: the report lies in an
output's ``kv_transfer_params["autellix"]``, which streams ignore and whole responses would show, so the API process
takes it out again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autellix_core.priority import Policy
from autellix_core.wire import CallHeaders

__all__ = ["KEY", "SNAPSHOT", "Carried", "carried", "pack_call", "pack_report", "take_report"]

KEY = "autellix"

SNAPSHOT = "autellix_snapshot"
"""The name under which the API process asks the engine process for its state."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What the engine process learns of the HTTP call that a request is a part of."""

    headers: CallHeaders
    exchange: str
    """Names the HTTP call. It may be made of several requests (``n`` > 1, several prompts, beams)."""

    absurd: tuple[str, ...] = ()
    """Headers that were clamped or ignored."""


def pack_call(extra_args: Mapping[str, Any] | None, headers: Mapping[str, str], exchange: str) -> dict[str, Any]:
    """``extra_args`` with our entry; whatever a client put there under our key is replaced."""
    return {**(extra_args or {}), KEY: {"headers": dict(headers), "exchange": exchange}}


def carried(extra_args: Mapping[str, Any] | None, *, request: str, policy: Policy) -> Carried:
    """Read our entry. A request without one is a program of one call, under the engine's own policy."""
    entry = (extra_args or {}).get(KEY)
    absurd: tuple[str, ...] = ()
    if isinstance(entry, Mapping) and isinstance(entry.get("headers"), Mapping):
        headers, absurd = CallHeaders.from_headers(entry["headers"], policy=policy)
        if headers is not None:
            return Carried(headers=headers, exchange=str(entry.get("exchange") or request), absurd=absurd)
    headers = CallHeaders(program=request, call=request, policy=policy)
    return Carried(headers=headers, exchange=request, absurd=absurd)


def pack_report(transfer: Mapping[str, Any] | None, report: Mapping[str, Any]) -> dict[str, Any]:
    """An output's ``kv_transfer_params`` with the report."""
    return {**(transfer or {}), KEY: dict(report)}


def take_report(
    transfer: Mapping[str, Any] | None,
) -> tuple[dict[str, Any] | None, Mapping[str, Any] | None]:
    """``kv_transfer_params`` as they would be without us, and the report if there is one."""
    if not isinstance(transfer, Mapping) or KEY not in transfer:
        return (dict(transfer) if isinstance(transfer, Mapping) else None), None
    rest = {key: value for key, value in transfer.items() if key != KEY}
    return rest or None, transfer[KEY]
