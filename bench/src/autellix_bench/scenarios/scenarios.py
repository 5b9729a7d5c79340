"""A scenario, and the runs that it is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from autellix_bench.engine.profiles import Profile
from autellix_bench.points import summed_up
from autellix_bench.programs import Program
from autellix_bench.records import by_program
from autellix_bench.scenarios.expectations import Expectation, Outcome
from autellix_bench.scenarios.measured import Measured, measured
from autellix_bench.simulation import SYSTEMS, simulate
from autellix_bench.workloads import generate

__all__ = ["Drawn", "Job", "Scenario", "Variant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A system as a scenario runs it."""

    name: str
    """In the scenario."""
    system: str
    beta: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A workload's programs; the seed is the run's."""

    workload: str
    rate: float
    programs: int

    def drawn(self, seed: int) -> Iterator[Program]:
        """The programs."""
        return generate(self.workload, rate=self.rate, programs=self.programs, seed=seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One run: all that it depends on. Equal ones come to the same."""

    load: Drawn | tuple[Program, ...]
    system: str
    beta: float | None
    profile: Profile
    engines: int
    seed: int

    def measured(self) -> Measured:
        """Run it."""
        run = simulate(
            self.load.drawn(self.seed) if isinstance(self.load, Drawn) else self.load,
            replace(SYSTEMS[self.system], beta=self.beta),
            profile=self.profile,
            engines=self.engines,
            seed=self.seed,
        )
        point = summed_up(
            by_program(run.calls),
            experiment="scenario",
            system=self.system,
            workload=self.load.workload if isinstance(self.load, Drawn) else "replay",
            profile=self.profile.name,
            engines=self.engines,
            rate=self.load.rate if isinstance(self.load, Drawn) else 0.0,
            seed=self.seed,
        )
        return measured(run, point)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """What is run, and what is expected of it."""

    name: str
    about: str
    load: Drawn | tuple[Program, ...]
    profile: Profile
    engines: int
    seeds: tuple[int, ...]
    systems: tuple[Variant, ...]
    expect: tuple[Expectation, ...]

    def jobs(self) -> dict[tuple[str, int], Job]:
        """Its runs by system and seed."""
        return {
            (each.name, seed): Job(
                load=self.load,
                system=each.system,
                beta=each.beta,
                profile=self.profile,
                engines=self.engines,
                seed=seed,
            )
            for each in self.systems
            for seed in self.seeds
        }

    def judged(self, runs: Mapping[tuple[str, int], Measured]) -> list[Outcome]:
        """What these runs say to each expectation."""
        by_system: dict[str, Sequence[Measured]] = {
            each.name: [runs[each.name, seed] for seed in self.seeds] for each in self.systems
        }
        return [each.judged(by_system) for each in self.expect]
