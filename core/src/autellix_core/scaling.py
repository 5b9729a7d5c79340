"""How many engines a pool needs, and which of them to give up: from a snapshot of its programs, never from a clock."""

from __future__ import annotations

from dataclasses import dataclass

from autellix_core.program import EngineId

__all__ = ["Demand", "EngineDemand"]


@dataclass(frozen=True, slots=True)
class EngineDemand:
    """One engine of the pool."""

    id: EngineId
    ready: bool = True
    draining: bool = False
    calls: int = 0
    """In it, running and queued."""
    slots: int = 0
    """Calls that its batch holds; 0: not known."""
    wait_s: float = 0.0
    """Mean queue time of the calls that ended there lately."""
    programs: int = 0
    """Programs that were active lately and whose home it is."""
    cached_tokens: int = 0
    """Of those programs: at most what other engines compute again if it goes."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A pool at one instant."""

    engines: tuple[EngineDemand, ...] = ()
    held: int = 0
    """Calls that wait at gateways since no engine takes them."""
    active: int = 0
    """Programs with a call under way."""
    returning: int = 0
    """Programs in a tool call that will come back."""
