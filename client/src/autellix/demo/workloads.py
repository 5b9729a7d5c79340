"""Agent programs as data: what each asks, when, and how its calls depend on one another.

A program is a list of rounds; the calls of a round run in parallel, and each sees everything said before. So one
form covers the paper's shapes (Figure 11): a chat is a round a turn with a growing history, a ReAct-like tool loop
has short answers and a pause for the tool after each, a fan-out/join has one wide round in the middle.

Lengths are in characters for prompts and tokens for answers; the tiny model reads one token a character.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Ask", "Program", "Round", "Shape", "sample"]

_ARRIVALS_PER_S = 2.0
_LONG_SHARE = 3
"""Of each shape the first is long, and then one in this many."""


class Shape(StrEnum):
    """What kind of agent a program is."""

    CHAT = "chat"
    TOOL_LOOP = "tool loop"
    FAN_OUT = "fan-out"


@dataclass(frozen=True, slots=True)
class Ask:
    """One call: how much is said before it is asked, and how long the answer is to be."""

    prompt_chars: int
    answer_tokens: int


@dataclass(frozen=True, slots=True)
class Round:
    """Calls that run in parallel, and the time that the program then spends away from the model."""

    asks: tuple[Ask, ...]
    pause_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Program:
    """One agent program: when it arrives, with how long a system prompt, and what it does."""

    name: str
    shape: Shape
    arrival_s: float
    system_chars: int
    rounds: tuple[Round, ...]

    @property
    def calls(self) -> int:
        """How many calls it makes."""
        return sum(len(round_.asks) for round_ in self.rounds)

    @property
    def answer_tokens(self) -> int:
        """How many tokens it is to be given."""
        return sum(ask.answer_tokens for round_ in self.rounds for ask in round_.asks)


def sample(count: int, seed: int) -> tuple[Program, ...]:
    """`count` programs that arrive by a Poisson process; the shapes have equal parts, and a part of each is long.

    The same count and seed give the same programs.
    """
    rng = random.Random(seed)  # noqa: S311 - a reproducible sample, not a secret
    kinds = [(shape, turn % _LONG_SHARE == 0) for turn in range(-(-count // len(Shape))) for shape in Shape]
    kinds = kinds[:count]
    rng.shuffle(kinds)
    programs = []
    arrival_s = 0.0
    for index, (shape, long) in enumerate(kinds, start=1):
        name = f"{index:02d} {'long' if long else 'short'} {shape}"
        system_chars, rounds = _MAKERS[shape](rng, long)
        programs.append(Program(name, shape, round(arrival_s, 3), system_chars, rounds))
        arrival_s += rng.expovariate(_ARRIVALS_PER_S)
    return tuple(programs)


def _chat(rng: random.Random, long: bool) -> tuple[int, tuple[Round, ...]]:
    turns = rng.randint(4, 5) if long else rng.randint(2, 3)
    low, high = (900, 1200) if long else (24, 64)
    return 200, tuple(Round((Ask(rng.randint(80, 240), rng.randint(low, high)),), pause_s=0.1) for _ in range(turns))


def _tool_loop(rng: random.Random, long: bool) -> tuple[int, tuple[Round, ...]]:
    steps = rng.randint(12, 16) if long else rng.randint(4, 6)
    low, high = (120, 240) if long else (16, 40)
    return 700, tuple(
        Round((Ask(rng.randint(60, 300), rng.randint(low, high)),), pause_s=round(rng.uniform(0.05, 0.2), 3))
        for _ in range(steps)
    )


def _fan_out(rng: random.Random, long: bool) -> tuple[int, tuple[Round, ...]]:
    width = rng.randint(8, 10) if long else rng.randint(3, 4)
    low, high = (400, 700) if long else (24, 48)
    plan = Round((Ask(200, rng.randint(24, 48)),))
    branches = Round(tuple(Ask(rng.randint(40, 120), rng.randint(low, high)) for _ in range(width)))
    join = Round((Ask(80, rng.randint(24, 64)),))
    return 400, (plan, branches, join)


_MAKERS: dict[Shape, Callable[[random.Random, bool], tuple[int, tuple[Round, ...]]]] = {
    Shape.CHAT: _chat,
    Shape.TOOL_LOOP: _tool_loop,
    Shape.FAN_OUT: _fan_out,
}
