"""The demonstration itself: one stack, the same programs under two systems, the two side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from autellix.demo import agents, trials, workloads
from autellix.demo.trials import System, Trial
from autellix.demo.workloads import Program
from autellix.stack import EngineProcesses, Stack

__all__ = ["AUTELLIX", "BASELINE", "Comparison", "run"]

AUTELLIX = System("Autellix (ATLAS, local placement)", "ATLAS", "atlas", "local")
BASELINE = System("FCFS + round robin", "FCFS", "fcfs", "round-robin")

_SHORT_TOKENS = 300


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same programs under both systems."""

    ours: Trial
    theirs: Trial


def run(
    stack: Stack,
    programs: Sequence[Program],
    watching: Callable[[System], trials.Watching],
) -> Comparison:
    """Run the programs under Autellix on a running stack, then under the baseline on the same engines.

    Each run starts with an empty process table, and its prompts begin with a salt of its own, so that neither finds
    the other's prefixes in an engine's cache. Before each, a few short programs warm the engines, the gateway and
    this process up: their first calls are slower than the rest, and no system is to pay for that.

    :raises ProgramFailed, PartEnded: if a program or a part of the stack failed.
    """
    engines = stack.plan.engines
    assert isinstance(engines, EngineProcesses)

    def trial(system: System, salt: str) -> Trial:
        place = agents.Place(stack.plan.base_url, engines.served_model, salt)
        warm = replace(place, salt=f"Warm up. {salt}")
        with watching(replace(system, title="Warming up")) as watch:
            asyncio.run(trials.run(system, _a_few_short_ones(), warm, watch=watch, check=stack.check))
        with watching(system) as watch:
            return asyncio.run(trials.run(system, programs, place, watch=watch, check=stack.check))

    ours = trial(AUTELLIX, "Run A.")
    stack.change_gateway(BASELINE.policy, BASELINE.placement)
    return Comparison(ours, trial(BASELINE, "Run B."))


def _a_few_short_ones() -> tuple[Program, ...]:
    """Short programs of each shape, all at once."""
    short = (program for program in workloads.sample(6, seed=0) if program.answer_tokens < _SHORT_TOKENS)
    return tuple(replace(program, arrival_s=0.0) for program in short)
