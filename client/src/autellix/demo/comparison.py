"""The demonstration itself: one stack, the same programs under two systems, the two side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import httpx2

from autellix import errors
from autellix.demo import agents, trials
from autellix.demo.trials import System, Trial
from autellix.demo.workloads import Program
from autellix.stack import EngineProcesses, Stack

__all__ = ["AUTELLIX", "BASELINE", "Comparison", "run"]

AUTELLIX = System("Autellix (ATLAS, local placement)", "ATLAS", "atlas", "local")
BASELINE = System("FCFS + round robin", "FCFS", "fcfs", "round-robin")

_WARM_UP_TIMEOUT_S = 300.0
_WARM_UP_PROMPT = "warm up " * 200


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
    the other's prefixes in an engine's cache. Engines are warmed up first: their first call is slower than the rest.

    :raises ProgramFailed, PartEnded: if a program or a part of the stack failed.
    """
    engines = stack.plan.engines
    assert isinstance(engines, EngineProcesses)
    _warm_up(stack.engine_urls, engines.served_model)

    def trial(system: System, salt: str) -> Trial:
        place = agents.Place(stack.plan.base_url, engines.served_model, salt)
        with watching(system) as watch:
            return asyncio.run(trials.run(system, programs, place, watch=watch, check=stack.check))

    ours = trial(AUTELLIX, "Run A.")
    stack.change_gateway(BASELINE.policy, BASELINE.placement)
    return Comparison(ours, trial(BASELINE, "Run B."))


def _warm_up(engine_urls: Sequence[str], model: str) -> None:
    body = {"model": model, "prompt": _WARM_UP_PROMPT, "max_tokens": 64}
    with httpx2.Client(timeout=_WARM_UP_TIMEOUT_S, trust_env=False) as http:
        for url in engine_urls:
            try:
                answer = http.post(f"{url}/v1/completions", json=body)
            except httpx2.TransportError as error:
                raise errors.ProgramFailed(f"The engine at {url} did not answer its first call: {error}.") from error
            if not answer.is_success:
                raise errors.ProgramFailed(f"The engine at {url} refused its first call: {answer.text[:300]}")
