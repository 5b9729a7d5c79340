"""Runs scenarios over processes. A run that several of them need is run once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from autellix_bench.experiments import each
from autellix_bench.scenarios.expectations import Outcome
from autellix_bench.scenarios.measured import Measured
from autellix_bench.scenarios.scenarios import Job, Scenario

__all__ = ["checked"]


def checked(scenarios: Sequence[Scenario], *, processes: int) -> Iterator[tuple[Scenario, list[Outcome]]]:
    """Each scenario with what came of its expectations, in their order, as soon as its runs are there.

    :raises ValueError: if ``processes`` is less than 1, or a call can never fit into an engine.
    """
    wanted = list(dict.fromkeys(job for scenario in scenarios for job in scenario.jobs().values()))
    coming = zip(wanted, each(Job.measured, wanted, processes=processes), strict=True)
    known: dict[Job, Measured] = {}
    for scenario in scenarios:
        jobs = scenario.jobs()
        while any(job not in known for job in jobs.values()):
            job, came = next(coming)
            known[job] = came
        yield scenario, scenario.judged({key: known[job] for key, job in jobs.items()})
