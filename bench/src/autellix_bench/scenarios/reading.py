"""Scenarios from YAML, strictly."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from autellix_bench import replay
from autellix_bench.engine import Costs, EngineSettings, Preemption
from autellix_bench.engine.profiles import PROFILES, Profile
from autellix_bench.programs import Program
from autellix_bench.scenarios.expectations import Equal, Expectation, Range, Ratio, Value
from autellix_bench.scenarios.fields import Fields
from autellix_bench.scenarios.measured import STATISTICS
from autellix_bench.scenarios.scenarios import Drawn, Scenario, Variant
from autellix_bench.simulation import SYSTEMS
from autellix_bench.workloads import WORKLOADS
from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels

__all__ = ["read"]

_COUNTS = tuple(each.name for each in dataclasses.fields(EngineSettings) if each.type in ("int", int))
"""What of an engine is a whole number."""


def read(path: Path) -> Scenario:
    """The scenario in a file.

    :raises ValueError: with the file's name and the key, if it is none.
    :raises OSError: if it cannot be read.
    """
    try:
        given = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from error
    fields = Fields(given, str(path))
    load = _load(fields, path.parent)
    scenario = Scenario(
        name=path.stem,
        about=fields.text("about"),
        load=load,
        seeds=_seeds(fields, None if isinstance(load, Drawn) else [0]),
        profile=_profile(fields),
        engines=fields.whole("engines", 1),
        systems=tuple(
            _variant(each, f"{path}: system {number}") for number, each in enumerate(fields.items("systems"), start=1)
        ),
        expect=tuple(
            _expectation(each, f"{path}: expectation {number}")
            for number, each in enumerate(fields.items("expect"), start=1)
        ),
    )
    fields.end()
    _consistent(scenario, str(path))
    return scenario


def _load(fields: Fields, folder: Path) -> Drawn | tuple[Program, ...]:
    if "replay" not in fields:
        workload = _known(fields.text("workload"), WORKLOADS, f"{fields.where}: workload")
        rate = fields.number("rate")
        if rate < 0:
            raise ValueError(f"{fields.where}: rate must be at least 0, not {rate}.")
        return Drawn(workload=workload, rate=rate, programs=fields.whole("programs"))
    file = folder / fields.text("replay")
    try:
        with file.open(encoding="utf-8") as lines:
            return tuple(sorted(replay.read(lines), key=lambda program: program.arrival_s))
    except (OSError, ValueError) as error:
        raise ValueError(f"{fields.where}: replay cannot be read from {file}: {error}") from error


def _seeds(fields: Fields, default: list[object] | None) -> tuple[int, ...]:
    seeds = fields.items("seeds", default)
    if not all(type(seed) is int for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f"{fields.where}: seeds must be different whole numbers, not {seeds}.")
    return tuple(seed for seed in seeds if isinstance(seed, int))


def _profile(fields: Fields) -> Profile:
    name = _known(fields.text("profile", "a100-llama-3.1-8b"), PROFILES, f"{fields.where}: profile")
    given = fields.mapping("engine")
    profile = PROFILES[name]
    counts: dict[str, Any] = {count: given.whole(count) for count in _COUNTS if count in given}
    try:
        engine = replace(profile.engine, **counts)
        if "preemption" in given:
            engine = replace(engine, preemption=Preemption(given.text("preemption")))
        if "costs" in given:
            engine = replace(engine, costs=Costs(**given.mapping("costs").numbers()))
        if "level_bounds" in given:
            engine = replace(engine, levels=_levels(given))
    except (InvalidSetting, ValueError, TypeError) as error:
        raise ValueError(f"{given.where}: {error}") from error
    given.end()
    return replace(profile, engine=engine)


def _levels(given: Fields) -> Levels:
    """Each level's quantum is its width, as by default."""
    bounds = tuple(each for each in given.items("level_bounds") if isinstance(each, int | float))
    return Levels(bounds, tuple(high - low for low, high in pairwise((0.0, *bounds, math.inf))))


def _variant(given: object, where: str) -> Variant:
    if isinstance(given, str):
        return Variant(name=given, system=_known(given, SYSTEMS, where))
    fields = Fields(given, where)
    system = _known(fields.text("system"), SYSTEMS, where)
    variant = Variant(
        name=fields.text("name", system), system=system, beta=fields.number("beta") if "beta" in fields else None
    )
    fields.end()
    return variant


def _expectation(given: object, where: str) -> Expectation:
    fields = Fields(given, where)
    because = fields.text("because")
    found: Expectation
    if "equal" in fields:
        found = Equal(systems=tuple(str(each) for each in fields.items("equal")), because=because)
    elif "ratio" in fields:
        of = fields.mapping("ratio")
        found = Ratio(
            statistic=_known(of.text("statistic"), STATISTICS, f"{of.where}: statistic"),
            over=of.text("over"),
            under=of.text("under"),
            accepted=_range(of),
            because=because,
        )
        of.end()
    else:
        if "value" not in fields:
            raise ValueError(f"{where} expects nothing: it needs a ratio, a value or equal.")
        of = fields.mapping("value")
        found = Value(
            statistic=_known(of.text("statistic"), STATISTICS, f"{of.where}: statistic"),
            of=of.text("of"),
            accepted=_range(of),
            because=because,
        )
        of.end()
    fields.end()
    return found


def _range(fields: Fields) -> Range:
    low, high = (fields.number(name) if name in fields else None for name in ("at_least", "at_most"))
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise ValueError(f"{fields.where} needs at_least, at_most or both, in this order; it has {low} and {high}.")
    return Range(low, high)


def _known(name: str, names: Collection[str], where: str) -> str:
    if name not in names:
        raise ValueError(f"{where}: there is no {name!r}; there is {', '.join(names)}.")
    return name


def _consistent(scenario: Scenario, where: str) -> None:
    names = [each.name for each in scenario.systems]
    if len(set(names)) < len(names):
        raise ValueError(f"{where}: two systems have one name; give one of them another.")
    for number, expected in enumerate(scenario.expect, start=1):
        for system in expected.systems:
            _known(system, names, f"{where}: expectation {number}")
