"""What can be set of an engine model."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

from autellix_bench.engine.costs import Costs
from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.priority import Policy

__all__ = ["EngineSettings", "Preemption"]


class Preemption(StrEnum):
    """What becomes of the keys and values of a call that leaves the batch before its end."""

    RECOMPUTE = "recompute"
    """They are given up; what the prefix cache does not hold any more is computed again (vLLM's V1 engine)."""
    SWAP = "swap"
    """They go to the host's memory and come back (the paper, section 5), as long as there is room."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """One engine. The defaults are a small one; ``costs`` says how fast it is."""

    slots: int = 8
    """Calls that the batch holds (vLLM's ``max_num_seqs``)."""
    blocks: int = 4096
    block_tokens: int = 16
    step_tokens: int = 2048
    """Tokens that one iteration computes at most (vLLM's ``max_num_batched_tokens``)."""
    policy: Policy = Policy.ATLAS
    """Of calls that name none."""
    levels: Levels = field(default_factory=Levels.geometric)
    decide_every_steps: int = 1
    most_preemptions: int = 4
    """Calls that one decision displaces at most."""
    prefix_caching: bool = True
    """Whether blocks keep their content for later calls with the same beginning."""
    preemption: Preemption = Preemption.RECOMPUTE
    host_blocks: int = 4096
    """Blocks that the host's memory holds of calls swapped out; one more is computed again."""
    aborted_reports: int = 1024
    """Reports of aborted calls that are kept."""
    costs: Costs = field(default_factory=Costs)

    def __post_init__(self) -> None:
        whole = (
            "slots",
            "blocks",
            "block_tokens",
            "step_tokens",
            "decide_every_steps",
            "most_preemptions",
            "aborted_reports",
            "host_blocks",
        )
        for name in whole:
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} must be at least 1, not {getattr(self, name)}.")
        if self.step_tokens < self.slots:
            raise InvalidSetting(
                f"An iteration of {self.step_tokens} tokens cannot give one to each of {self.slots} calls; "
                "let it compute more tokens or have fewer slots."
            )

    @property
    def longest_tokens(self) -> int:
        """Tokens of the longest call that fits, prompt and answer together."""
        return self.blocks * self.block_tokens

    @property
    def quanta_s(self) -> list[float | None]:
        """The quanta as the engine's state shows them: None has no end."""
        return [None if math.isinf(quantum) else quantum for quantum in self.levels.quanta_s]
