"""Which system runs when; see the package for why so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TypeVar

from autellix_bench.comparison.systems import System
from autellix_bench.peers import EngineKind

__all__ = ["Phase", "Run", "arranged", "phases"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Run:
    """One system in one repetition, from 0."""

    repetition: int
    system: System


@dataclass(frozen=True, slots=True)
class Phase:
    """Runs on the same running engines."""

    kinds: tuple[EngineKind, ...]
    """Which of them are up."""
    runs: tuple[Run, ...]


def phases(systems: Sequence[System], repetitions: int, *, engines: int) -> list[Phase]:
    """The whole plan, with so many engines of each kind.

    :raises ValueError: if there are no systems, no repetitions, or more engines than two.
    """
    if not systems or repetitions < 1 or engines not in {1, 2}:
        raise ValueError("A comparison takes at least one system, one repetition, and one or two engines of a kind.")
    if engines == 1:
        runs = (
            Run(repetition, each)
            for repetition in range(repetitions)
            for each in arranged(systems, repetition, of=repetitions)
        )
        return [Phase(_kinds(systems), tuple(runs))]
    halves: list[tuple[EngineKind, list[Run]]] = []
    for repetition in range(repetitions):
        kinds = _kinds(systems)
        for kind in kinds if repetition % 2 == 0 else reversed(kinds):
            order = arranged([each for each in systems if each.engines is kind], repetition, of=repetitions)
            halves.append((kind, [Run(repetition, each) for each in order]))
    return [
        Phase((kind,), tuple(run for _, runs in together for run in runs))
        for kind, together in groupby(halves, key=lambda half: half[0])
    ]


def arranged(systems: Sequence[T], repetition: int, *, of: int) -> list[T]:
    """The order of one repetition of so many: begun a part further on and turned around each time, so that no system
    has the same place in all of them, nor the same one before it."""
    at = repetition * max(1, len(systems) // of) % len(systems)
    turned = [*systems[at:], *systems[:at]]
    return turned if repetition % 2 == 0 else turned[::-1]


def _kinds(systems: Sequence[System]) -> tuple[EngineKind, ...]:
    return tuple(kind for kind in EngineKind if any(each.engines is kind for each in systems))
