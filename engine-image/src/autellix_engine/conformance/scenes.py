"""A full batch, and a call that arrives at it: what most checks look at."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from autellix_core.priority import Policy
from autellix_engine.conformance.calls import Call
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.verdicts import Failed

__all__ = ["full_batch", "shortly", "together"]

_START_S = 60.0


def shortly(engine: Engine) -> int:
    """Tokens of a call that is short beside those that hold the batch, and beside a quantum."""
    first_s = engine.levels.quanta_s[0]
    return max(2, min(4, engine.tokens(first_s / 4)))


async def together(engine: Engine, calls: Sequence[Call]) -> None:
    """Send these calls in this order and wait for all of them."""
    async with asyncio.TaskGroup() as group:
        for call in calls:
            group.create_task(engine.caller.stream(call))


@asynccontextmanager
async def full_batch(
    engine: Engine,
    *,
    policy: Policy = Policy.ATLAS,
    hold_s: float = 0.0,
    outlast_s: float = 0.0,
    prompts: Sequence[str] = (),
) -> AsyncIterator[list[Call]]:
    """As many calls as the batch holds, all of the last level and all running. Waits for them on leaving.

    ``outlast_s``: how much longer all but the first of them run; meanwhile there is one place.
    """
    hold_s = max(hold_s, engine.hold_s)
    tokens = [max(64, engine.tokens(hold_s + (outlast_s if number else 0.0))) for number in range(engine.slots)]
    named: list[str | None] = [*prompts, *[None] * (engine.slots - len(prompts))]
    calls = [
        engine.call(length, engine.deep_s, policy=policy, prompt=prompt)
        for length, prompt in zip(tokens, named, strict=True)
    ]
    tasks = [asyncio.create_task(engine.caller.stream(call)) for call in calls]
    try:
        begun = asyncio.create_task(_all_begun(calls))
        await asyncio.wait((begun, *tasks), timeout=_START_S, return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            begun.cancel()
            for task in tasks:
                if task.done():
                    task.result()
            raise Failed(f"{engine.slots} calls, which the state calls a full batch, did not all run at once.")
        yield calls
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _all_begun(calls: Sequence[Call]) -> None:
    for call in calls:
        await call.begun.wait()
