"""What the scheduler counted since the engine started.

The counts live in the engine process, where things happen, and leave it with the state: vLLM's ``/metrics`` is
answered by the API process, which turns them into Prometheus's families (:mod:`autellix_engine.metrics`).
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["DECISION_BOUNDS_S", "Cause", "Counts"]

DECISION_BOUNDS_S = (1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1)
"""Upper ends of the buckets of the decision's time, in seconds; a last one has no end."""


class Cause(StrEnum):
    """Why a call was put back."""

    BETTER_CALL = "better_call"
    """We displaced it for a call of a better level."""
    KV_PRESSURE = "kv_pressure"
    """vLLM ran out of KV blocks within a step."""
    CACHE_RESET = "cache_reset"
    """vLLM was told to drop its cache, or to pause."""


@dataclass(slots=True)
class Counts:
    """Counters from 0, and one histogram."""

    preemptions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(Cause, 0))
    demotions: int = 0
    promotions: int = 0
    resumptions: int = 0
    """Preempted calls that came back into the batch."""
    recomputed_tokens: int = 0
    """Tokens that resumed calls had computed before, and that were cached no more."""
    absurd_headers: Counter[str] = field(default_factory=Counter)
    """By the name of the header; there are as many as the contract has headers."""
    failures: Counter[str] = field(default_factory=Counter)
    """Exceptions in our own code, by what it was doing."""
    decisions: list[int] = field(default_factory=lambda: [0] * (len(DECISION_BOUNDS_S) + 1))
    """Decisions by their time, a count a bucket."""
    deciding_s: float = 0.0

    def preempted(self, cause: Cause) -> None:
        """A call was put back."""
        self.preemptions[cause] += 1

    def turned(self, *, demoted: int, promoted: int) -> None:
        """Calls changed their level."""
        self.demotions += demoted
        self.promotions += promoted

    def resumed(self, *, recomputed_tokens: int) -> None:
        """A preempted call came back, and so many of its tokens are computed again."""
        self.resumptions += 1
        self.recomputed_tokens += recomputed_tokens

    def saw_absurd(self, headers: Iterable[str]) -> None:
        """A call came with headers that were clamped or ignored."""
        self.absurd_headers.update(headers)

    def decided(self, seconds: float) -> None:
        """A decision took so long."""
        self.decisions[bisect_left(DECISION_BOUNDS_S, seconds)] += 1
        self.deciding_s += seconds

    def to_json(self) -> dict[str, Any]:
        """As the state shows them: plain dicts, lists and numbers."""
        return {
            "preemptions": {str(cause): count for cause, count in self.preemptions.items()},
            "demotions": self.demotions,
            "promotions": self.promotions,
            "resumptions": self.resumptions,
            "recomputed_tokens": self.recomputed_tokens,
            "absurd_headers": dict(self.absurd_headers),
            "failures": dict(self.failures),
            "decisions": list(self.decisions),
            "deciding_s": self.deciding_s,
        }
