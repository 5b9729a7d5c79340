"""Points by what they were measured with, so that only comparable ones meet in a picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from autellix_bench.points import Point
from autellix_bench.report.systems import WORKLOADS, workload_name

__all__ = ["Load", "Setting", "by_load", "by_rate", "by_setting", "by_system", "of", "slugs"]

_ORDER = {workload: place for place, workload in enumerate(WORKLOADS)}


@dataclass(frozen=True, slots=True)
class Setting:
    """A workload on so many engines of a kind."""

    workload: str
    profile: str
    engines: int

    @property
    def title(self) -> str:
        """For people."""
        engines = "1 engine" if self.engines == 1 else f"{self.engines} engines"
        return f"{workload_name(self.workload)} on {engines} ({self.profile})"


@dataclass(frozen=True, slots=True)
class Load:
    """A setting at a rate: what it is called by people and in file names."""

    title: str
    slug: str


def of(points: Iterable[Point], experiment: str) -> list[Point]:
    """Those of one experiment."""
    return [point for point in points if point.experiment == experiment]


def by_setting(points: Iterable[Point]) -> dict[Setting, list[Point]]:
    """In the order of the paper's workloads."""
    found: dict[Setting, list[Point]] = {}
    for point in points:
        found.setdefault(Setting(point.workload, point.profile, point.engines), []).append(point)
    return dict(sorted(found.items(), key=lambda item: _place(item[0])))


def slugs(settings: Iterable[Setting]) -> dict[Setting, str]:
    """What each is called in file names: its workload alone where that tells it from the others."""
    given = list(settings)
    alike = Counter(setting.workload for setting in given)
    full = {
        one: f"{one.workload}-{one.profile}-{one.engines}" if alike[one.workload] > 1 else one.workload for one in given
    }
    return {one: "".join(c if c.isascii() and c.isalnum() else "-" for c in name.lower()) for one, name in full.items()}


def by_load(points: Iterable[Point]) -> dict[Load, list[Point]]:
    """By setting and rate."""
    groups = by_setting(points)
    names, found = slugs(groups), {}
    for setting, group in groups.items():
        rates = by_rate(group)
        for rate, load in rates.items():
            slug = names[setting] if len(rates) == 1 else f"{names[setting]}-{rate:g}".replace(".", "-")
            found[Load(f"{setting.title}, {rate:g} programs/s", slug)] = load
    return found


def by_system(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Each system's points."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.system, []).append(point)
    return found


def by_rate(points: Iterable[Point]) -> dict[float, list[Point]]:
    """By arrival rate, lowest first."""
    found: dict[float, list[Point]] = {}
    for point in points:
        found.setdefault(point.rate, []).append(point)
    return dict(sorted(found.items()))


def _place(setting: Setting) -> tuple[int, str, str, int]:
    return (_ORDER.get(setting.workload, len(_ORDER)), setting.workload, setting.profile, setting.engines)
