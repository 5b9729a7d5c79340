"""What goes into an engine model, and what comes out of it."""

from dataclasses import dataclass

from autellix_bench.engine.blocks import Piece
from autellix_core.wire import CallHeaders, Report

__all__ = ["Job", "Outcome", "Output"]


@dataclass(frozen=True, slots=True)
class Job:
    """One call for an engine model. Its tokens have no content, only identity, by pieces of full blocks."""

    id: str
    """Unique in the engine, whatever id the call's headers give."""
    headers: CallHeaders
    prompt_tokens: int
    output_tokens: int
    """How many it will produce. The engine's rules never look at it."""
    pieces: tuple[Piece, ...] = ()
    """What the call's blocks hold, from its first. Blocks beyond are its own."""
    retain_s: float = 0.0
    """How long its blocks stay its program's after its last token, before they may go to others."""

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
