"""Agent programs as data: which calls, what each asks, and which others it waits for.

One form covers a chat whose history grows, a loop of tool calls and a tree search, and goes to the simulator, to a live
server and into a file (:mod:`autellix_bench.replay`) alike. Nothing that serves a program ever sees it whole.
"""

from dataclasses import dataclass

__all__ = ["Call", "Program", "Segment"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a prompt. Prompts that begin with the same segments begin with the same text."""

    key: str
    """What it is. Of an answer, the id of the call that gave it; else any name: one that begins with ``shared/`` is
    the same text for all programs, any other is its program's own."""
    tokens: int
    answer: bool = False
    """It is the answer of the program's call ``key``, which is among the ancestors of this one."""


@dataclass(frozen=True, slots=True)
class Call:
    """One model call of a program."""

    id: str
    """Unique in its program."""
    prompt: tuple[Segment, ...]
    output_tokens: int
    parents: tuple[str, ...] = ()
    """Calls that must have been answered before it is sent; they stand before it in the program. None: it is sent
    when the program arrives."""
    gap_s: float = 0.0
    """Time with a tool or a person between its last parent's answer (or the program's arrival) and its sending."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the whole prompt."""
        return sum(segment.tokens for segment in self.prompt)


@dataclass(frozen=True, slots=True)
class Program:
    """One agent program, from its arrival on."""

    id: str
    workload: str
    """What kind it is: the name that results are grouped by."""
    arrival_s: float
    """Since the beginning of the load."""
    calls: tuple[Call, ...]

    @property
    def output_tokens(self) -> int:
        """Tokens that all its calls are to be given."""
        return sum(call.output_tokens for call in self.calls)
