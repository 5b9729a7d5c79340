"""What is expected of a scenario's runs: ratios and values in ranges, and runs that are the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from autellix_bench.scenarios.measured import Measured

__all__ = ["Equal", "Expectation", "Outcome", "Range", "Ratio", "Runs", "Value"]

Runs = Mapping[str, Sequence[Measured]]
"""Each system's, in the order of the seeds."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an expectation."""

    sentence: str
    met: bool


@dataclass(frozen=True, slots=True)
class Range:
    """What is accepted, its ends included."""

    at_least: float | None
    at_most: float | None

    def __contains__(self, value: float) -> bool:
        low = -math.inf if self.at_least is None else self.at_least
        high = math.inf if self.at_most is None else self.at_most
        return low <= value <= high

    def __str__(self) -> str:
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        return f"at least {self.at_least:g}" if self.at_most is None else f"{self.at_least:g} to {self.at_most:g}"

    def outcome(self, what: str, by_seed: Sequence[float]) -> Outcome:
        """Their mean held against it."""
        value = fmean(by_seed)
        spread = f" ({min(by_seed):.4g} to {max(by_seed):.4g} over {len(by_seed)} seeds)" if len(by_seed) > 1 else ""
        return Outcome(f"{what} is {value:.4g}{spread}; accepted is {self}", value in self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """One system's statistic over another's, by seed."""

    statistic: str
    over: str
    under: str
    accepted: Range
    because: str

    @property
    def systems(self) -> tuple[str, ...]:
        """Whose runs it needs."""
        return (self.over, self.under)

    def judged(self, runs: Runs) -> Outcome:
        """What these runs say."""
        over, under = ([run.values[self.statistic] for run in runs[system]] for system in (self.over, self.under))
        return self.accepted.outcome(
            f"{self.statistic} of {self.over} over that of {self.under}",
            [one / other if other else math.inf for one, other in zip(over, under, strict=True)],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One system's statistic."""

    statistic: str
    of: str
    accepted: Range
    because: str

    @property
    def systems(self) -> tuple[str, ...]:
        """Whose runs it needs."""
        return (self.of,)

    def judged(self, runs: Runs) -> Outcome:
        """What these runs say."""
        by_seed = [run.values[self.statistic] for run in runs[self.of]]
        return self.accepted.outcome(f"{self.statistic} of {self.of}", by_seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Equal:
    """Systems whose runs leave the same records."""

    systems: tuple[str, ...]
    because: str

    def judged(self, runs: Runs) -> Outcome:
        """What these runs say."""
        digests = {tuple(run.digest for run in runs[system]) for system in self.systems}
        named = " and ".join(self.systems)
        if len(digests) == 1:
            return Outcome(f"{named} leave the same records", met=True)
        return Outcome(f"{named} leave different records; accepted is the same", met=False)


Expectation = Ratio | Value | Equal
