"""Agent programs as data: which calls, what each asks, and which others it waits for.

One form covers a chat whose history grows, a loop of tool calls and a tree search, and goes to the simulator, to a live
server and into a file (:mod:`autellix_bench.replay`) alike. Nothing that serves a program ever sees it whole.
"""

import math
from dataclasses import dataclass

__all__ = ["Call", "Program", "Segment", "ancestors", "flaw"]


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


def ancestors(program: Program) -> list[int]:
    """For each call, in the program's order, all that it waits for: bit i stands for the program's call i.

    :raises KeyError: if a call stands before its parent.
    """
    bits: dict[str, int] = {}
    found: list[int] = []
    for index, call in enumerate(program.calls):
        mask = 0
        for parent in call.parents:
            at = bits[parent]
            mask |= 1 << at | found[at]
        bits[call.id] = index
        found.append(mask)
    return found


def flaw(program: Program) -> str | None:
    """What makes it no program that could be run, as a sentence; None if nothing does."""
    if not program.calls:
        return "It has no call."
    if not _is_time(program.arrival_s):
        return f"arrival_s is a time, not {program.arrival_s}."
    places: dict[str, int] = {}
    for index, call in enumerate(program.calls):
        if call.id in places:
            return f"Two calls have the id {call.id!r}."
        if unknown := [parent for parent in call.parents if parent not in places]:
            return f"Call {call.id!r} waits for {unknown[0]!r}, which is no call before it."
        if call.output_tokens < 1 or not call.prompt or any(segment.tokens < 1 for segment in call.prompt):
            return f"Call {call.id!r} must have a prompt, and at least one token in each segment and in its answer."
        if not _is_time(call.gap_s):
            return f"gap_s of call {call.id!r} is a time, not {call.gap_s}."
        places[call.id] = index
    for call, before in zip(program.calls, ancestors(program), strict=True):
        for segment in call.prompt:
            if segment.answer and not (segment.key in places and before >> places[segment.key] & 1):
                return f"The prompt of call {call.id!r} has the answer of {segment.key!r}, for which it does not wait."
    return None


def _is_time(seconds: float) -> bool:
    return math.isfinite(seconds) and seconds >= 0
