"""What one iteration of an engine takes: a straight line in what is in the batch."""

from dataclasses import dataclass, fields

from autellix_core.errors import InvalidSetting

__all__ = ["Costs", "Load"]


@dataclass(slots=True)
class Load:
    """What one iteration computes."""

    prefill_tokens: int = 0
    """Tokens of prompts, and of answers computed again after a preemption."""
    prefills_begun: int = 0
    """Calls whose first tokens are among them."""
    decodes: int = 0
    """Calls that get a further token."""
    context_tokens: int = 0
    """Tokens that the iteration attends to, over all its calls."""
    swapped_tokens: int = 0
    """Tokens whose keys and values go to the host's memory or come back."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds. An iteration costs ``step_s`` whatever is in it, and the other terms by what is in it."""

    step_s: float = 0.01
    prefill_s: float = 0.0
    """For each call whose prefill begins: what a first token costs however short the prompt. As in an engine, the
    whole batch waits for it."""
    prefill_token_s: float = 0.0
    decode_s: float = 0.0
    """For each call that decodes."""
    context_token_s: float = 0.0
    swap_token_s: float = 0.0
    """For each token swapped out or in: its bytes over the bus. The batch waits for it."""

    def __post_init__(self) -> None:
        if not self.step_s > 0:
            raise InvalidSetting(f"An iteration must take time, not {self.step_s} s.")
        for field in fields(self):
            if not getattr(self, field.name) >= 0:
                raise InvalidSetting(f"{field.name} is a time, not {getattr(self, field.name)}.")

    def of(self, load: Load) -> float:
        """How long this iteration takes."""
        return (
            self.step_s
            + self.prefill_s * load.prefills_begun
            + self.prefill_token_s * load.prefill_tokens
            + self.decode_s * load.decodes
            + self.swap_token_s * load.swapped_tokens
            + self.context_token_s * load.context_tokens  # last, so that what grows can be added to the rest
        )
