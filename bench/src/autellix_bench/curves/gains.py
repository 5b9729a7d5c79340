"""Throughput at equal latency: how many times the arrival rate of another system ours sustains.

The latencies at which systems are compared follow from a rule, not from a choice: fixed multiples of the lowest latency
that any of the systems shows at its lowest rate, the same for all. "Up to X times" is the highest ratio over these
targets, with its target.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autellix_bench.curves.intervals import Interval, ratio_interval
from autellix_bench.curves.sustained import Bound, Curve, Sustained, sustained_rate

__all__ = ["MULTIPLES", "Gain", "Target", "best", "gains", "targets"]

MULTIPLES = (1.5, 2.0, 3.0, 5.0, 10.0)
"""Of the unloaded latency: from where queueing is just felt to where a program takes ten times as long."""


@dataclass(frozen=True, slots=True)
class Target:
    """A latency that all systems are held to."""

    multiple: float
    latency_s: float


@dataclass(frozen=True, slots=True)
class Gain:
    """The ratio of two systems' sustained rates at a target."""

    ours: str
    other: str
    target: Target
    ratio: Interval
    bound: Bound
    """At least: some seed's curve of ours never crossed the target. At most: one of the other's."""


def targets(of: Iterable[Curve], multiples: Sequence[float] = MULTIPLES) -> list[Target]:
    """The latencies to compare these curves at."""
    unloaded_s = min((curve.unloaded_s for curve in of), default=math.inf)
    return [Target(multiple, multiple * unloaded_s) for multiple in multiples] if math.isfinite(unloaded_s) else []


def gains(among: Sequence[Curve], *, ours: str, other: str, at: Iterable[Target]) -> list[Gain]:
    """The ratio at each target, paired by seed. A target that some common seed has no ratio at is left out.

    All curves are of one experiment, workload, profile, number of engines and measure.
    """
    our_curves, others = _by_seed(among, ours), _by_seed(among, other)
    seeds = sorted(our_curves.keys() & others.keys())
    found = []
    for target in at if seeds else ():
        pairs = [
            _ratio(sustained_rate(our_curves[seed], target.latency_s), sustained_rate(others[seed], target.latency_s))
            for seed in seeds
        ]
        bounds = {bound for _, bound in pairs} - {Bound.EXACT}
        if Bound.NONE not in bounds and len(bounds) <= 1:
            bound = bounds.pop() if bounds else Bound.EXACT
            found.append(Gain(ours, other, target, ratio_interval([ratio for ratio, _ in pairs]), bound))
    return found


def best(of: Iterable[Gain]) -> Gain | None:
    """The highest ratio over targets: what "up to" means. An upper bound shows no gain and is not considered."""
    shown = [gain for gain in of if gain.bound is not Bound.AT_MOST]
    return max(shown, key=lambda gain: gain.ratio.value, default=None)


def _by_seed(among: Iterable[Curve], system: str) -> dict[int, Curve]:
    return {curve.seed: curve for curve in among if curve.system == system}


def _ratio(ours: Sustained, other: Sustained) -> tuple[float, Bound]:
    if not ours.rate or not other.rate or (ours.bound, other.bound) == (Bound.AT_LEAST, Bound.AT_LEAST):
        return 0.0, Bound.NONE
    if other.bound is Bound.AT_LEAST:
        return ours.rate / other.rate, Bound.AT_MOST
    return ours.rate / other.rate, ours.bound
