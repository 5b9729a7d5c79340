"""What a local stack is to consist of."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["HOST", "TINY", "TINY_MODEL", "EngineProcesses", "Plan"]

HOST = "127.0.0.1"
"""Where everything of a local stack listens: on this machine alone."""

TINY = "tiny"
"""The name by which the engine builds its own small random-weight model."""

TINY_MODEL = "autellix-tiny"
"""The name under which that model is then served."""


@dataclass(frozen=True, slots=True)
class EngineProcesses:
    """Engines to start here: how many, the model of all of them, and what else vLLM is told."""

    count: int = 2
    model: str = TINY
    vllm_arguments: tuple[str, ...] = ()

    @property
    def served_model(self) -> str:
        """The `model` that calls have to name."""
        return TINY_MODEL if self.model == TINY else Path(self.model).name


@dataclass(frozen=True, slots=True)
class Plan:
    """A stack. `engines` are processes to start, or URLs of engines that somebody else runs.

    `redis_url` is a Redis that somebody else runs; without it the stack starts one of its own, which forgets
    everything when it ends.
    """

    engines: EngineProcesses | tuple[str, ...] = field(default_factory=EngineProcesses)
    policy: str = "atlas"
    placement: str = "local"
    port: int = 8080
    redis_url: str | None = None

    @property
    def base_url(self) -> str:
        """What clients of the gateway are given."""
        return f"http://{HOST}:{self.port}/v1"

    @property
    def chars_per_token(self) -> float | None:
        """What the gateway is to estimate a prompt's length with, where it is known: the tiny model reads bytes."""
        tiny = isinstance(self.engines, EngineProcesses) and self.engines.model == TINY
        return 1.0 if tiny else None
