"""Program token latency, the paper's measure (section 6): how long a program waits for its answers, by token."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["Span", "mean", "percentile", "program_token_latency_s", "response_time_s"]


@dataclass(frozen=True, slots=True)
class Span:
    """One call as its client saw it: asked and answered, in seconds of one monotonic clock, and its tokens."""

    asked_s: float
    answered_s: float
    output_tokens: int


def response_time_s(calls: Iterable[Span]) -> float:
    """The time during which at least one call of the program was under way.

    For a single thread that is the sum of its calls' response times; where calls overlap, as between a fan-out and
    its join, it is that of the longest path. Time with tools and people is not the serving system's and not in it.
    """
    total = 0.0
    covered_to = -math.inf
    for call in sorted(calls, key=lambda call: call.asked_s):
        total += max(0.0, call.answered_s - max(call.asked_s, covered_to))
        covered_to = max(covered_to, call.answered_s)
    return total


def program_token_latency_s(calls: Sequence[Span]) -> float:
    """Response time over the tokens of all threads, in seconds a token; infinite where there was no token."""
    tokens = sum(call.output_tokens for call in calls)
    return response_time_s(calls) / tokens if tokens else math.inf


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean of at least one value."""
    return sum(values) / len(values)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed (nearest rank), share in (0, 1]."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]
