"""A mean or a ratio over seeds with its confidence interval, and a spread where there are too few for one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import mean, median, stdev

__all__ = ["Interval", "Spread", "mean_interval", "ratio_interval", "spread", "t_quantile"]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its two-sided 95 % confidence interval over so many seeds; one seed has no interval."""

    value: float
    low: float | None
    high: float | None
    seeds: int

    @property
    def above_one(self) -> bool:
        """The whole interval lies above 1; never so for a single seed."""
        return self.low is not None and self.low > 1.0

    def apart_from(self, other: Interval) -> bool:
        """No value is in both; never so for a single seed."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low > other.high or self.high < other.low


@dataclass(frozen=True, slots=True)
class Spread:
    """What a few repetitions showed: the one in the middle, and the extremes."""

    median: float
    low: float
    high: float
    repetitions: int


@cache
def t_quantile(confidence: float, freedom: int) -> float:
    """The ``t`` with ``P(|T| <= t) = confidence`` for Student's T with so many degrees of freedom.

    For a whole number of degrees the distribution has a closed form in ``angle = atan(t / sqrt(freedom))``
    (Abramowitz and Stegun 26.7.3 and 26.7.4), which is inverted by halving.
    """
    if freedom < 1 or not 0.0 < confidence < 1.0:
        raise ValueError(
            f"A t quantile needs at least 1 degree of freedom and 0 < confidence < 1: {freedom=}, {confidence=}."
        )
    low, high = 0.0, math.pi / 2
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _share_within(middle, freedom) < confidence else (low, middle)
    return math.sqrt(freedom) * math.tan(low)


def mean_interval(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """The arithmetic mean of at least one value and its interval (Student's t)."""
    middle = mean(values)
    if len(values) == 1:
        return Interval(middle, None, None, 1)
    reach = t_quantile(confidence, len(values) - 1) * stdev(values) / math.sqrt(len(values))
    return Interval(middle, middle - reach, middle + reach, len(values))


def ratio_interval(ratios: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """The geometric mean of ratios and its interval: Student's t on their logarithms, so that a/b mirrors b/a."""
    logs = mean_interval([math.log(ratio) for ratio in ratios], confidence=confidence)
    low, high = (None if end is None else math.exp(end) for end in (logs.low, logs.high))
    return Interval(math.exp(logs.value), low, high, logs.seeds)


def spread(values: Sequence[float]) -> Spread:
    """Median and extremes of at least one value."""
    return Spread(median(values), min(values), max(values), len(values))


def _share_within(angle: float, freedom: int) -> float:
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = term if freedom > 1 else 0.0
    for k in range(2 + odd, freedom - 1, 2):
        term *= math.cos(angle) ** 2 * (k - 1) / k
        total += term
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
