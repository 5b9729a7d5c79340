"""What can be set of the simulated engine."""

from dataclasses import dataclass, field
from enum import StrEnum

from autellix_bench.engine import EngineSettings
from autellix_core.errors import InvalidSetting

__all__ = ["MODEL", "FailureKind", "Knobs"]

MODEL = "autellix-sim"
"""The name that the simulated engine gives its model, unless told otherwise."""


class FailureKind(StrEnum):
    """What happens to a call that is made to fail."""

    ERROR = "error"
    """Status 500, before the call is queued."""
    CUT = "cut"
    """The connection ends in the middle of the answer."""
    HANG = "hang"
    """The answer stops coming and the connection stays open, until the client leaves."""


@dataclass(frozen=True, slots=True)
class Knobs:
    """The engine's, and those of its HTTP face."""

    engine: EngineSettings = field(default_factory=EngineSettings)
    model: str = MODEL
    longest_tokens: int = 32_768
    """Prompt and answer of one call together (vLLM's ``max_model_len``)."""
    failure_rate: float = 0.0
    """The share of calls that are made to fail."""
    failure_kind: FailureKind = FailureKind.ERROR
    seed: int = 0
    """Of the answers' words and of the choice of calls that fail."""

    def __post_init__(self) -> None:
        if not 0 <= self.failure_rate <= 1:
            raise InvalidSetting(f"The failure rate is a share between 0 and 1, not {self.failure_rate}.")
        if self.longest_tokens > self.engine.longest_tokens:
            raise InvalidSetting(
                f"A call of {self.longest_tokens} tokens does not fit into {self.engine.blocks} blocks of "
                f"{self.engine.block_tokens} tokens; give more blocks or a smaller --max-model-len."
            )
