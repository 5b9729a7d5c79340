"""What goes into an engine model, and what comes out of it."""

from collections.abc import Hashable
from dataclasses import dataclass

from autellix_core.wire import CallHeaders, Report

__all__ = ["Job", "Outcome", "Output"]


@dataclass(frozen=True, slots=True)
class Job:
    """One call for an engine model. Its tokens have no content, only identity, by block."""

    id: str
    """Unique in the engine, whatever id the call's headers give."""
    headers: CallHeaders
    prompt_tokens: int
    output_tokens: int
    """How many it will produce. The engine's rules never look at it."""
    block_keys: tuple[Hashable, ...] = ()
    """What the call's blocks hold, from its first: equal keys are equal prefixes. Blocks beyond are its own."""

    @property
    def tokens(self) -> int:
        """Prompt and answer."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Output:
    """One token of one call, and its report if it is the last."""

    job: str
    index: int
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a step brought: the tokens of the iteration that ended, and when the next one will have ended."""

    outputs: tuple[Output, ...]
    until: float | None
    """Call :meth:`EngineModel.step` then. None: there is nothing to do until a job is added."""
