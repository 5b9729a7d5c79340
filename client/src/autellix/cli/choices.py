"""Values that options take from a fixed list."""

from __future__ import annotations

from enum import StrEnum

from autellix_core.priority import Policy

__all__ = ["Placement", "Policy"]


class Placement(StrEnum):
    """Which engine a call goes to."""

    LOCAL = "local"
    LEAST = "least"
    ROUND_ROBIN = "round-robin"
