"""What the points say to a claim of the paper: a number, a sentence and a verdict, by rules that the page prints."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from autellix_bench.curves import Bound, Gain, Interval, Measure, best, curves, gains, targets
from autellix_bench.points import Point
from autellix_bench.report.settings import Setting, by_setting
from autellix_bench.report.systems import workload_name

__all__ = [
    "RULES",
    "Finding",
    "Measured",
    "Verdict",
    "factor",
    "highest_gain",
    "judged",
    "ratio_words",
    "setting_gains",
]


class Verdict(StrEnum):
    """How ours stands to the paper's."""

    REACHED = "as in the paper"
    SMALLER = "same direction, smaller"
    UNCLEAR = "not told apart"
    DIFFERS = "differs"

    @property
    def needs_reason(self) -> bool:
        """The reader is owed an explanation."""
        return self is not Verdict.REACHED


RULES = (
    "“As in the paper”: the 95% interval over seeds lies above 1 and reaches the paper's figure. “Same direction, "
    "smaller”: it lies above 1 but does not reach it. “Not told apart”: it holds 1, two intervals to compare overlap, "
    "or there is one seed only. “Differs”: it lies below 1, or what the paper says is not so. Where an interval lies "
    "is judged by the two decimals that are printed."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """Ours beside a claim."""

    text: str
    verdict: Verdict
    value: float | None = None


Measured = Callable[[Sequence[Point]], Finding | None]
"""How ours is computed; None where the points for it are missing."""


def setting_gains(points: Sequence[Point], *, ours: str, other: str, measure: Measure = Measure.MEAN) -> list[Gain]:
    """Ratios at the common targets. All points are of one experiment and setting."""
    drawn = curves(points, measure)
    return gains(drawn, ours=ours, other=other, at=targets(drawn))


def highest_gain(
    points: Iterable[Point], *, ours: str, other: str, measure: Measure = Measure.MEAN
) -> tuple[Setting, Gain] | None:
    """What "up to" means: the highest ratio over settings and targets."""
    found = {
        setting: gain
        for setting, group in by_setting(points).items()
        if (gain := best(setting_gains(group, ours=ours, other=other, measure=measure)))
    }
    setting = max(found, key=lambda one: found[one].ratio.value, default=None)
    return None if setting is None else (setting, found[setting])


def judged(ratio: Interval, paper: float, bound: Bound = Bound.EXACT) -> Verdict:
    """By :data:`RULES`. A lower bound counts as what it is at least."""
    if ratio.low is None or ratio.high is None or round(ratio.low, 2) <= 1.0 <= round(ratio.high, 2):
        return Verdict.UNCLEAR
    if ratio.high < 1.0:
        return Verdict.DIFFERS
    return Verdict.REACHED if ratio.high >= paper else Verdict.SMALLER


def factor(value: float, bound: Bound = Bound.EXACT) -> str:
    """As in "1.83x"."""
    return f"{'' if bound is Bound.EXACT else bound.value + ' '}{value:.{1 if value >= 9.95 else 2}f}x"


def ratio_words(ratio: Interval, bound: Bound = Bound.EXACT) -> str:
    """With its interval."""
    if ratio.low is None or ratio.high is None:
        return f"{factor(ratio.value, bound)} (one seed, no interval)"
    return f"{factor(ratio.value, bound)} (95% interval {ratio.low:.2f} to {ratio.high:.2f}, {ratio.seeds} seeds)"


def throughput(workload: str | None, other: str, paper: float, *, ours: str) -> Measured:
    """The highest ratio of sustained rates on a workload, or on any."""

    def measured(points: Sequence[Point]) -> Finding | None:
        found = highest_gain((point for point in points if workload in (None, point.workload)), ours=ours, other=other)
        if found is None:
            return None
        setting, gain = found
        text = (
            f"Up to {ratio_words(gain.ratio, gain.bound)}, at {gain.target.multiple:g}x the unloaded latency "
            f"({gain.target.latency_s:.3g} s a token), {setting.title}"
        )
        return Finding(text, judged(gain.ratio, paper, gain.bound), gain.ratio.value)

    return measured


def tails(others: Sequence[str], paper: float, *, workloads: Container[str], ours: str) -> Measured:
    """In how many of the settings' P95 and P99 ours sustains more than every other, and by how much at most."""

    def measured(points: Sequence[Point]) -> Finding | None:
        better, scenarios, highest = 0, 0, 0.0
        worse: list[str] = []
        for setting, group in by_setting(point for point in points if point.workload in workloads).items():
            for measure in (Measure.P95, Measure.P99):
                found = [best(setting_gains(group, ours=ours, other=other, measure=measure)) for other in others]
                ratios = [gain.ratio for gain in found if gain is not None]
                if len(ratios) < len(others):
                    continue
                scenarios += 1
                highest = max(highest, min(ratio.value for ratio in ratios))
                if all(ratio.above_one for ratio in ratios):
                    better += 1
                else:
                    worse.append(f"{workload_name(setting.workload)} {measure.value}")
        if not scenarios:
            return None
        text = (
            f"Better than all of them in {better} of {scenarios} scenarios, "
            f"up to {factor(highest)} the rate of the better one"
        )
        text += f"; not in {', '.join(worse)}" if worse else ""
        if better < scenarios * 7 / 8:
            return Finding(text, Verdict.SMALLER if better > scenarios / 2 else Verdict.DIFFERS, highest)
        return Finding(text, Verdict.REACHED if highest >= paper else Verdict.SMALLER, highest)

    return measured
