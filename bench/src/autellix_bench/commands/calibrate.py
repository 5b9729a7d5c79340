"""``calibrate``: an engine's costs for the engine model, measured over HTTP."""

import argparse
import asyncio
from pathlib import Path

from autellix_bench.commands import output, targets
from autellix_bench.commands.failures import Failed
from autellix_bench.commands.options import count
from autellix_bench.live import CallFailed, HttpTransport, Target, Unreachable
from autellix_bench.live.calibration import Plan, Sample, fitted, measured

__all__ = ["arguments", "run"]


_USUAL = Plan()


def arguments(parser: argparse.ArgumentParser) -> None:
    """The engine, and how large measurements may be."""
    add = parser.add_argument
    add("url", metavar="URL", help="of the engine itself, as http://127.0.0.1:8000")
    targets.arguments(parser)
    add("--name", default="measured", help="of the profile (default: %(default)s)")
    add("--most-calls", type=count, default=8, metavar="N", help="at once; its --max-num-seqs (default: %(default)s)")
    add("--longest-tokens", type=count, default=4096, metavar="N", help="of a prompt (default: %(default)s)")
    add(
        "--step-tokens",
        type=count,
        default=_USUAL.step_tokens,
        metavar="N",
        help="its --max-num-batched-tokens (default: %(default)s)",
    )
    add(
        "--repeats", type=count, default=_USUAL.repeats, metavar="N", help="of each, the middle one counts (default: 5)"
    )
    add("--out", type=Path, metavar="FILE", help="the costs as JSON (default: to standard output)")


def run(given: argparse.Namespace) -> None:
    """Measure, fit, and say how good the fit is.

    :raises Failed: if a call failed, or the measurements do not tell costs apart.
    """
    target = targets.target(given, [given.url])
    try:
        fit = fitted(asyncio.run(_measured(target, given)))
    except (CallFailed, Unreachable, ValueError) as error:
        raise Failed(str(error)) from error
    text = fit.to_json(name=given.name)
    if given.out:
        given.out.write_text(f"{text}\n", encoding="utf-8")
    else:
        output.say(text)
    output.note(fit.sentence())


async def _measured(target: Target, given: argparse.Namespace) -> list[Sample]:
    plan = Plan(
        batches=tuple(each for each in _USUAL.batches if each <= given.most_calls),
        contexts=tuple(each for each in _USUAL.contexts if each <= given.longest_tokens),
        prompts=tuple(each for each in _USUAL.prompts if each <= given.longest_tokens),
        step_tokens=given.step_tokens,
        repeats=given.repeats,
    )
    async with HttpTransport() as transport:
        return await measured(target, plan, transport=transport, said=output.note)
