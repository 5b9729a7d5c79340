"""How far each part of a starting stack is, as values; showing them is somebody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["PartProgress", "Stage", "Watch"]


class Stage(Enum):
    """Where a part is on its way."""

    STARTING = "starting"
    READY = "ready"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class PartProgress:
    """One part: how long it took so far, or until it was ready, and what it is or waits for."""

    name: str
    stage: Stage
    seconds: float
    note: str = ""


Watch = Callable[[Sequence[PartProgress]], None]
"""Called with every part whenever the stack has looked at them, some times a second while it starts."""
