"""`autellix demo`: see programs being scheduled, and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from autellix.cli import starting
from autellix.cli.screens import screen
from autellix.demo import comparison, tables, trials, workloads
from autellix.stack import EngineProcesses, Plan, Stack, ports
from autellix.stack.plan import TINY
from autellix.stack.signals import ended_by_signals

__all__ = ["demo"]

_BATCH = 2
"""Calls that run at once in an engine; so small that queues form under a load that a laptop can bear."""
_LINE_EVERY_S = 2.0
_NOISE = "The tiny model has random weights, so its text is noise; queues, batches and timings are real."


def demo(
    model: Annotated[
        str, typer.Option(help="tiny (needs no download; its text is noise), or a name or path that vLLM can load.")
    ] = TINY,
    engines: Annotated[int, typer.Option(min=1, help="How many vLLM engines to start.")] = 2,
    programs: Annotated[int, typer.Option(min=1, help="How many agent programs to run.")] = 12,
    seed: Annotated[int, typer.Option(help="What the programs are drawn with.")] = 7,
) -> None:
    """Run agent programs on real engines, by Autellix and then by plain FCFS, and compare.

    Starts everything on this machine and ends it again; takes a few minutes.
    """
    console = screen()
    load = workloads.sample(programs, seed)
    processes = EngineProcesses(engines, model, ("--max-num-seqs", str(_BATCH)))
    plan = Plan(processes, comparison.AUTELLIX.policy, comparison.AUTELLIX.placement, ports.free(1)[0])
    _introduce(console, plan, load, seed)
    with ended_by_signals(), ExitStack() as lifetime:
        with starting.shown(console) as watch:
            stack = lifetime.enter_context(Stack(plan, watch))
        names = {url.partition("://")[2]: str(number) for number, url in enumerate(stack.engine_urls, start=1)}
        result = comparison.run(stack, load, _watching(console, names))
        console.print("Ending the stack.\n", style="dim")
    for shown in (result.ours, result.theirs):
        console.print(tables.trial(shown, names))
    console.print("Side by side", style="bold cyan")
    console.print(tables.comparison(result.ours, result.theirs))
    console.print(tables.summary(result.ours, result.theirs), style="bold")
    console.print(
        "ms per token is a program's response time over its tokens; the ratio is FCFS's over Autellix's, and above 1 "
        f"is in Autellix's favour. Measured just now, on this machine, with seed {seed}.",
        style="dim",
    )


def _introduce(console: Console, plan: Plan, load: tuple[workloads.Program, ...], seed: int) -> None:
    assert isinstance(plan.engines, EngineProcesses)
    calls = sum(program.calls for program in load)
    tokens = sum(program.answer_tokens for program in load)
    console.print(
        f"{len(load)} agent programs ({calls} calls, {tokens:,d} tokens of answers, seed {seed}) on "
        f"{plan.engines.count} vLLM engines of {plan.engines.served_model}, {_BATCH} calls at a time in each.",
    )
    if plan.engines.model == TINY:
        console.print(_NOISE, style="dim")
    console.print()


def _watching(console: Console, names: Mapping[str, str]) -> Callable[[trials.System], trials.Watching]:
    """The live process table on a terminal; elsewhere a line now and then."""

    @contextmanager
    def on_a_terminal(system: trials.System) -> Iterator[trials.Watch]:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield lambda look: live.update(tables.live(look, names), refresh=True)

    @contextmanager
    def in_lines(system: trials.System) -> Iterator[trials.Watch]:
        console.print(system.title)
        next_at_s = 0.0

        def watch(look: trials.Look) -> None:
            nonlocal next_at_s
            if look.since_start_s >= next_at_s:
                next_at_s = look.since_start_s + _LINE_EVERY_S
                console.print(tables.line(look))

        yield watch

    return on_a_terminal if console.is_terminal else in_lines
