"""What can be done with one of vLLM's requests now: would vLLM take it into the batch, and could it be put back?

Nobody is displaced for a request that vLLM would then pass over.
"""

from collections.abc import Container, Iterable
from typing import Any

__all__ = ["FETCHING", "adapter_fits", "can_leave", "can_run"]

FETCHING = "WAITING_FOR_REMOTE_KVS"
"""The status of a request whose KV is loaded from outside the GPU, into blocks that it holds already."""

_READY = frozenset({"WAITING", "PREEMPTED"})
_COMPILING = frozenset({"WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR", "WAITING_FOR_FSM"})


def can_run(request: Any, fetched: Container[str]) -> bool:
    """Whether vLLM would take it, as far as the request itself decides.

    Not while input is awaited, or output is in flight from before its preemption (vLLM first drains that). A grammar
    that is compiled and KV that is ``fetched`` count as ready: vLLM itself looks only when a place is free.
    """
    state = request.status.name
    if state == FETCHING:
        return request.request_id in fetched
    if state in _COMPILING:
        grammar = request.structured_output_request.grammar
        return grammar is not None and not isinstance(grammar, Exception)
    return state in _READY and not getattr(request, "num_stale_output_tokens", 0)


def can_leave(request: Any) -> bool:
    """Whether a running request can be put back: not when its last token is in flight or its input is streamed."""
    if request.status.name != "RUNNING" or request.resumable:
        return False
    ends: bool = request.num_output_tokens + request.num_output_placeholders >= request.max_tokens
    return not ends


def adapter_fits(request: Any, running: Iterable[Any], most: int | None) -> bool:
    """Whether the request's LoRA adapter is in the batch, or may join it; ``most`` is None without LoRA."""
    if most is None or request.lora_request is None:
        return True
    present = {each.lora_request.lora_int_id for each in running if each.lora_request is not None}
    return request.lora_request.lora_int_id in present or len(present) < most
