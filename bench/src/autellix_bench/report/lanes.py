"""Calls of an engine side by side, so that no two that overlap share a lane."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from autellix_bench.timeline import Stretch

__all__ = ["by_engine", "laid_out", "window"]

_SHORTEST_S = 0.001
"""A window is at least as long, or there is nothing to see."""


def by_engine(stretches: Iterable[Stretch]) -> dict[str, list[tuple[int, Stretch]]]:
    """Each engine's stretches with their lanes, engines by name."""
    found: dict[str, list[Stretch]] = {}
    for stretch in stretches:
        found.setdefault(stretch.engine, []).append(stretch)
    return {engine: laid_out(group) for engine, group in sorted(found.items())}


def laid_out(stretches: Iterable[Stretch]) -> list[tuple[int, Stretch]]:
    """Each stretch, as they began, with the lowest lane that is free then: as few lanes as calls that overlap."""
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    placed = []
    for stretch in sorted(stretches, key=lambda one: (one.began_s, one.ended_s, one.program, one.call)):
        while busy and busy[0][0] <= stretch.began_s:
            heapq.heappush(free, heapq.heappop(busy)[1])
        lane = heapq.heappop(free) if free else len(busy)
        heapq.heappush(busy, (stretch.ended_s, lane))
        placed.append((lane, stretch))
    return placed


def window(stretches: Sequence[Stretch], *, most: int = 400) -> tuple[float, float]:
    """The middle of the run, from and to, as long as so many stretches take to begin: as much as one can see."""
    began = sorted(stretch.began_s for stretch in stretches)
    first = max(0, (len(began) - most) // 2)
    shown = began[first : first + most]
    last_s = shown[-1] if len(began) > most else max(stretch.ended_s for stretch in stretches)
    return shown[0], max(last_s, shown[0] + _SHORTEST_S)
