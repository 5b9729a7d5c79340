"""Lengths and times with a long tail: log-normal, cut off at the longest one that there is.

Log-normal is our choice for all of them: the paper shows long tails and gives means and maxima, not families.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from statistics import NormalDist

__all__ = ["LongTailed"]

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class LongTailed:
    """``exp(N(mu, sigma))``, and ``most`` wherever that is longer."""

    mu: float
    sigma: float
    most: float

    @classmethod
    def with_mean(cls, mean: float, *, most: float, sigma: float) -> LongTailed:
        """The one with this mean after the cut; ``sigma`` says how long its tail is.

        :raises ValueError: unless 0 < mean < most.
        """
        if not 0 < mean < most:
            raise ValueError(f"A mean must lie between 0 and the longest, {most}, not be {mean}.")
        low, high = math.log(mean) - sigma * sigma / 2, math.log(most)  # the mean without a cut; everything cut off
        while _mean(high, sigma, most) < mean:
            high += sigma
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if _mean(middle, sigma, most) < mean else (low, middle)
        return cls(low, sigma, most)

    @classmethod
    def with_median(cls, median: float, *, most: float, sigma: float) -> LongTailed:
        """The one with this median."""
        return cls(math.log(median), sigma, most)

    @classmethod
    def with_shares(cls, first: tuple[float, float], second: tuple[float, float], *, most: float) -> LongTailed:
        """The one of which these two shares are within these values: ``(share, value)``."""
        (low, below), (high, above) = first, second
        sigma = math.log(above / below) / (_NORMAL.inv_cdf(high) - _NORMAL.inv_cdf(low))
        return cls(math.log(below) - sigma * _NORMAL.inv_cdf(low), sigma, most)

    @property
    def mean(self) -> float:
        """After the cut."""
        return _mean(self.mu, self.sigma, self.most)

    def time(self, rng: Random) -> float:
        """One of them."""
        return min(rng.lognormvariate(self.mu, self.sigma), self.most)

    def count(self, rng: Random) -> int:
        """One of them as a whole number, at least 1."""
        return max(1, round(self.time(rng)))


def _mean(mu: float, sigma: float, most: float) -> float:
    """Of ``min(exp(N(mu, sigma)), most)``."""
    cut = (math.log(most) - mu) / sigma
    return math.exp(mu + sigma * sigma / 2) * _NORMAL.cdf(cut - sigma) + most * (1 - _NORMAL.cdf(cut))
