"""vLLM as processes: as it is, and with the adapter, from one command line.

Stock engines run with ``--scheduling-policy priority``, since only so does vLLM heed the ``X-Vllm-Priority`` that our
gateway sends to engines without the adapter, and all systems shall have the same engines. For systems that send no
priority that is FCFS: all calls have priority 0, and vLLM 0.32 then takes waiting calls by arrival
(``vllm/v1/request.py``, ``Request.__lt__``), as FCFS does. Where the KV cache runs out it gives up the call that
arrived last instead of the one that was admitted last, which is another only where calls had been given up before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

__all__ = ["EngineKind", "EngineShape", "engine_command"]


class EngineKind(StrEnum):
    """Which vLLM."""

    STOCK = "stock"
    ADAPTER = "adapter"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineShape:
    """What all engines of a comparison have in common, and what systems in front may know of it."""

    model: str = "autellix-tiny"
    """Its name in the API."""
    load: str = "tiny"
    """What is loaded: a path, a name that vLLM knows, or the built model."""
    slots: int = 8
    """Calls in a batch (``--max-num-seqs``). Few, so that a queue forms at a load that this machine can make."""
    kv_tokens: int | None = 65_536
    """Tokens that its KV cache holds; None where vLLM finds that out itself. The tiny model's are 64 MiB of 1 KiB."""
    chars_per_token: float = 1.0
    """Of a prompt, for systems that estimate its length; the tiny model reads bytes."""
    adapter: tuple[str, ...] = ()
    """Settings of the adapter, as ``("--level-bounds", "0.02,0.04")``."""
    vllm: tuple[str, ...] = ()
    """What else vLLM is told, of either kind."""


def engine_command(python: Path, kind: EngineKind, shape: EngineShape, port: int) -> tuple[str, ...]:
    """One engine. ``--enable-prompt-tokens-details`` has it say how much of a prompt was cached."""
    return (
        *(str(python), "-m", "autellix_engine", *_STOCK_FLAG[kind]),
        *("--model", shape.load, "--served-model-name", shape.model, "--port", str(port)),
        *(shape.adapter if kind is EngineKind.ADAPTER else ()),
        *("--", "--max-num-seqs", str(shape.slots), "--enable-prompt-tokens-details", *_FOR_VLLM[kind], *shape.vllm),
    )


_STOCK_FLAG: dict[EngineKind, Sequence[str]] = {EngineKind.STOCK: ("--stock",), EngineKind.ADAPTER: ()}
_FOR_VLLM: dict[EngineKind, Sequence[str]] = {
    EngineKind.STOCK: ("--scheduling-policy", "priority"),
    EngineKind.ADAPTER: (),
}
