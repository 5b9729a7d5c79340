"""`autellix up`: a whole serving stack on this machine, for as long as the command runs."""

from __future__ import annotations

import shlex
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from autellix.cli import starting
from autellix.cli.choices import Placement, Policy
from autellix.cli.screens import screen
from autellix.stack import EngineProcesses, Plan, Stack
from autellix.stack.plan import TINY
from autellix.stack.signals import ended_by_signals

__all__ = ["up"]

_CHECK_S = 0.5
_VLLM = "vllm"


def up(
    context: typer.Context,
    engine: Annotated[
        str,
        typer.Option(help="vllm, to start engines here; or URL,URL of engines that run already."),
    ] = _VLLM,
    engines: Annotated[int, typer.Option(min=1, help="How many engines to start.")] = 2,
    model: Annotated[
        str,
        typer.Option(help="tiny (needs no download; its text is noise), or any name or path that vLLM can load."),
    ] = TINY,
    policy: Annotated[Policy, typer.Option(help="How calls are ordered inside an engine.")] = Policy.ATLAS,
    placement: Annotated[Placement, typer.Option(help="Which engine a call goes to.")] = Placement.LOCAL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="The gateway's port.")] = 8080,
    redis_url: Annotated[str | None, typer.Option(help="A Redis that runs already. [default: one of its own]")] = None,
) -> None:
    """Start Redis, engines and the gateway on this machine; Ctrl-C ends all of them.

    What follows `--` goes to vLLM: `autellix up --model Qwen/Qwen3-0.6B -- --max-num-seqs 16`.
    """
    plan = Plan(
        engines=_engines(engine, engines, model, tuple(context.args)),
        policy=policy.value,
        placement=placement.value,
        port=port,
        redis_url=redis_url,
    )
    console = screen()
    serving = False
    try:
        with ended_by_signals(), ExitStack() as lifetime:
            with starting.shown(console) as watch:
                stack = lifetime.enter_context(Stack(plan, watch))
            lifetime.callback(console.print, "Ending the stack.", style="dim")
            _invite(console, plan, stack.folder)
            serving = True
            while True:
                time.sleep(_CHECK_S)
                stack.check()
    except (KeyboardInterrupt, SystemExit):
        if not serving:
            raise
        console.print("All its parts have ended.", style="dim")


def _engines(engine: str, count: int, model: str, arguments: tuple[str, ...]) -> EngineProcesses | tuple[str, ...]:
    if engine == _VLLM:
        return EngineProcesses(count, model, arguments)
    urls = tuple(url.strip().rstrip("/") for url in engine.split(",") if url.strip())
    if not urls or not all(url.startswith(("http://", "https://")) for url in urls):
        raise typer.BadParameter(
            f"{engine!r} is neither `vllm` nor URLs such as http://127.0.0.1:8000,http://127.0.0.1:8001.",
            param_hint="--engine",
        )
    if arguments:
        raise typer.BadParameter(
            f"{shlex.join(arguments)} would go to vLLM, but the engines given run already.", param_hint="--engine"
        )
    return urls


def _invite(console: Console, plan: Plan, folder: Path) -> None:
    """The lines to paste."""
    model = plan.engines.served_model if isinstance(plan.engines, EngineProcesses) else "MODEL"
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "hello"}}], "max_tokens": 32}}'
    console.print("\nAutellix is ready; Ctrl-C ends it. To use it from your agent:\n", style="bold green")
    for line in (
        f"export OPENAI_BASE_URL={plan.base_url} AUTELLIX_BASE_URL={plan.base_url}",
        "export OPENAI_API_KEY=autellix",
        f"curl {plan.base_url}/chat/completions -H 'content-type: application/json' -d '{body}'",
    ):
        console.print(f"  {line}", soft_wrap=True, markup=False)
    console.print("\nTo see its programs: autellix ps --watch", style="dim")
    console.print(f"Its logs, until it ends: {folder}/*/log\n", style="dim", soft_wrap=True)
