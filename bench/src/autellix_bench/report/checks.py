"""How ours is computed for the paper's claims that are no ratio of sustained rates."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from autellix_bench.curves import Interval, curves, paired_ratio, regrets, scaling, targets
from autellix_bench.curves.scaling import Scaling
from autellix_bench.points import Point
from autellix_bench.report.findings import Finding, Measured, Verdict, highest_gain, judged, ratio_words
from autellix_bench.report.settings import Setting, by_setting
from autellix_bench.report.systems import look, workload_name

__all__ = ["SLO_MULTIPLE", "cheaper", "closes_gap", "fcfs_of", "grows", "linear", "memory", "scalings", "shorter"]

SLO_MULTIPLE = 2.0
"""The SLO of the scale-out, in unloaded latencies."""
_LINEAR = (0.9, 1.1)
"""Exponents that are called linear."""


def scalings(points: Iterable[Point]) -> dict[tuple[str, str], list[Scaling]]:
    """By workload and profile, each system's sustained rates at the SLO that all of them share."""
    groups: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        groups.setdefault((point.workload, point.profile), []).append(point)
    found = {}
    for key, group in sorted(groups.items()):
        drawn = curves(group)
        for slo in targets(drawn, (SLO_MULTIPLE,)):
            found[key] = [
                scaling(drawn, system=system, latency_s=slo.latency_s) for system in {one.system for one in group}
            ]
    return found


def linear(*, ours: str) -> Measured:
    """The exponent of the sustained rate in the number of engines, the one farthest from 1."""

    def measured(points: Sequence[Point]) -> Finding | None:
        found = [
            (abs(one.exponent.value - 1.0), f"{workload_name(workload)} ({profile})", one.exponent.value, one)
            for (workload, profile), several in scalings(points).items()
            for one in several
            if one.system == ours and one.exponent is not None
        ]
        if not found:
            return None
        _, where, exponent, one = max(found, key=lambda entry: entry[:2])
        counts = [engines for engines, _, _ in one.rates]
        text = f"The rate grows as engines^{exponent:.2f} from {counts[0]} to {counts[-1]} engines, {where}"
        if one.efficiency is not None:
            text += f"; an engine among the most carries {one.efficiency:.0%} of what it does among the fewest"
        within = _LINEAR[0] <= exponent <= _LINEAR[1]
        return Finding(text, Verdict.REACHED if within else Verdict.DIFFERS, exponent)

    return measured


def grows(others: Sequence[str], *, ours: str) -> Measured:
    """Whether the load balancer's gain is larger on the most engines of a kind than on the fewest."""

    def measured(points: Sequence[Point]) -> Finding | None:
        by_profile: dict[str, dict[int, Interval]] = {}
        for setting, group in by_setting(points).items():
            by_count = by_profile.setdefault(setting.profile, {})
            for other in others:
                if found := highest_gain(group, ours=ours, other=other):
                    known = by_count.get(setting.engines, found[1].ratio)
                    by_count[setting.engines] = max(known, found[1].ratio, key=lambda ratio: ratio.value)
        profile = max(by_profile, key=lambda name: len(by_profile[name]), default="")
        ratios = by_profile.get(profile, {})
        if len(ratios) < 2:
            return None
        most, fewest = ratios[max(ratios)], ratios[min(ratios)]
        said = ", ".join(f"{ratio_words(ratio)} on {engines}" for engines, ratio in sorted(ratios.items()))
        text = f"Up to {said} engines ({profile})"
        if not most.apart_from(fewest):
            return Finding(text, Verdict.UNCLEAR, most.value)
        return Finding(text, Verdict.REACHED if most.value > fewest.value else Verdict.DIFFERS, most.value)

    return measured


def shorter(other: str, least: float, *, ours: str) -> Measured:
    """By how much the makespan of a batch is shorter, at best."""

    def measured(points: Sequence[Point]) -> Finding | None:
        found = {
            (setting, size): ratio
            for setting, group in by_setting(points).items()
            for size, batch in _batches(group).items()
            if (ratio := paired_ratio(batch, lambda point: point.makespan_s, over=other, under=ours))
        }
        if not found:
            return None
        (setting, size), ratio = max(found.items(), key=lambda item: item[1].value)
        saved = [1 - 1 / one.value for one in found.values()]
        text = (
            f"{min(saved):.0%} to {max(saved):.0%} shorter than {look(other).name} over {len(found)} batches; "
            f"most with {size} programs, {setting.title}"
        )
        return Finding(text, judged(ratio, 1 / (1 - least)), max(saved))

    return measured


def memory(system: str) -> Measured:
    """Whether programs of a system fail in the largest batch."""

    def measured(points: Sequence[Point]) -> Finding | None:
        batches = _batches(point for point in points if point.system == system)
        if not batches:
            return None
        largest = batches[max(batches)]
        failed = sum(point.failed for point in largest)
        text = f"{failed} of {sum(point.programs for point in largest)} programs fail in batches of {max(batches)}"
        return Finding(text, Verdict.REACHED if failed else Verdict.DIFFERS, float(failed))

    return measured


def cheaper(mlfq: str, *, ours: str) -> Measured:
    """Whether a decision costs more than under FCFS and less than under MLFQ, with the most calls queued."""

    def measured(points: Sequence[Point]) -> Finding | None:
        costs: dict[str, dict[float, list[float]]] = {}
        for point in points:
            queued, cost = point.params.get("queued"), point.params.get("decision_us")
            if queued is not None and cost is not None:
                costs.setdefault(point.system, {}).setdefault(float(queued), []).append(float(cost))
        fcfs = fcfs_of(points)
        if fcfs is None or not {fcfs, mlfq, ours} <= costs.keys():
            return None
        common = set.intersection(*(set(costs[system]) for system in (fcfs, mlfq, ours)))
        if not common:
            return None
        most = max(common)
        at = {system: fmean(costs[system][most]) for system in (fcfs, ours, mlfq)}
        said = ", ".join(f"{look(system).name} {cost:.3g} µs" for system, cost in at.items())
        holds = at[fcfs] < at[ours] < at[mlfq]
        return Finding(
            f"A decision with {most:g} calls queued: {said}", Verdict.REACHED if holds else Verdict.DIFFERS, at[ours]
        )

    return measured


def closes_gap(others: Sequence[str], *, ours: str) -> Measured:
    """Whether ours is nearer to SRPT than every other everywhere, and how far it is from it."""

    def measured(points: Sequence[Point]) -> Finding | None:
        fcfs = fcfs_of(points)
        by_load: dict[tuple[Setting, float], dict[str, float]] = {}
        for one in regrets(points, fcfs=fcfs) if fcfs else ():
            load = (Setting(one.workload, one.profile, one.engines), one.rate)
            by_load.setdefault(load, {})[one.system] = one.closed.value
        by_load = {load: closed for load, closed in by_load.items() if ours in closed}
        if not by_load:
            return None
        closed = [systems[ours] for systems in by_load.values()]
        rivals = {other for systems in by_load.values() for other in systems if other in others}
        ahead = sum(
            systems[ours] >= max([0.0, *(systems[rival] for rival in rivals & systems.keys())])
            for systems in by_load.values()
        )
        named = ", ".join(look(other).name for other in [fcfs, *sorted(rivals)] if other)
        text = (
            f"Closes {min(closed):.0%} to {max(closed):.0%} of the gap; "
            f"ahead of {named} at {ahead} of {len(by_load)} loads"
        )
        holds = ahead == len(by_load) and max(closed) < 1.0
        return Finding(text, Verdict.REACHED if holds else Verdict.DIFFERS, fmean(closed))

    return measured


def fcfs_of(points: Iterable[Point]) -> str | None:
    """The system that stands for FCFS among these."""
    systems = {point.system for point in points}
    return next((system for system in ("vllm-opt", "fcfs-least") if system in systems), None)


def _batches(points: Iterable[Point]) -> dict[int, list[Point]]:
    found: dict[int, list[Point]] = {}
    for point in points:
        found.setdefault(point.programs, []).append(point)
    return found
