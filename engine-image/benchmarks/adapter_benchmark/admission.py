"""Time to first token of a short call that arrives while the batch is full of long ones."""

import asyncio
import random
from contextlib import AsyncExitStack

from adapter_benchmark.servers import ADAPTER, PRIORITY, serving
from adapter_benchmark.tables import Table, at_percentile
from adapter_benchmark.traffic import Caller, Salts

__all__ = ["measure"]

_BATCHES = (2, 8)
_SHORTS = 3
_LONG = {"prompt": 200, "output": 1500}
_SHORT = {"prompt": 40, "output": 16}
_HEAVY_S = 30.0
"""What the long calls' programs have attained; the short calls' have attained nothing."""


async def measure(seed: int, repetitions: int) -> Table:
    """Stock priority and the adapter, both servers up, one of them busy at a time."""
    rows: list[tuple[str, ...]] = []
    values = {}
    for batch in _BATCHES:
        waits, preemptions = await _at(batch, seed, repetitions)
        stock, ours = waits[PRIORITY.name], waits[ADAPTER.name]
        ratios = [at_percentile(stock, 50) / at_percentile(ours, 50), max(stock) / max(ours)]
        for name, seconds in waits.items():
            rows.append((str(batch), name, _ms(at_percentile(seconds, 50)), _ms(max(seconds)), str(len(seconds)), ""))
        rows[-1] = (*rows[-1][:-1], f"{ratios[0]:.0f} x / {ratios[1]:.0f} x")
        values[str(batch)] = {"first_token_s": waits, "ratios": ratios, "preemptions": preemptions}
    return Table(
        title="Time to first token of a short call at a full batch",
        columns=("--max-num-seqs", "system", "median ms", "max ms", "short calls", "ratio (median / max)"),
        rows=tuple(rows),
        note=(
            f"The batch is full of calls of {_LONG['prompt']} + {_LONG['output']} tokens; then {_SHORTS} calls of "
            f"{_SHORT['prompt']} + {_SHORT['output']} tokens of new programs arrive at random within half a second. "
            f"{repetitions} repetitions a system, interleaved. What stock vLLM makes a short call wait is the rest of "
            "the shortest long call, so the ratio grows with the length of long calls."
        ),
        values=values,
    )


async def _at(batch: int, seed: int, repetitions: int) -> tuple[dict[str, list[float]], int]:
    salts = Salts(seed + batch)
    waits: dict[str, list[float]] = {PRIORITY.name: [], ADAPTER.name: []}
    preemptions = 0
    async with AsyncExitStack() as stack:
        flags = ("--max-num-seqs", str(batch))
        callers = [
            await stack.enter_async_context(Caller(await stack.enter_async_context(serving(system, *flags)), salts))
            for system in (PRIORITY, ADAPTER)
        ]
        for caller in callers:
            await _short_ones_at_a_full_batch(caller, batch, [0.0])
        chance = random.Random(seed)  # noqa: S311 - no secret
        for _ in range(repetitions):
            arrivals_s = [chance.uniform(0.0, 0.5) for _ in range(_SHORTS)]
            for caller in callers:
                measured, displaced = await _short_ones_at_a_full_batch(caller, batch, arrivals_s)
                waits[caller.server.system.name] += measured
                preemptions += displaced
    return waits, preemptions


async def _short_ones_at_a_full_batch(caller: Caller, batch: int, arrivals_s: list[float]) -> tuple[list[float], int]:
    """First-token times of the short calls, and how often long ones were preempted."""
    begun = [asyncio.Event() for _ in range(batch)]

    async def short(after_s: float) -> float:
        await asyncio.sleep(after_s)
        return (await caller.stream(service_s=0.0, **_SHORT)).first_token_s

    async with asyncio.TaskGroup() as group:
        longs = [group.create_task(caller.stream(service_s=_HEAVY_S, **_LONG, begun=each)) for each in begun]
        for each in begun:
            await each.wait()
        shorts = [group.create_task(short(after_s)) for after_s in arrivals_s]
    return [each.result() for each in shorts], sum(each.result().preemptions for each in longs)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.0f}" if seconds >= 0.1 else f"{seconds * 1000:.1f}"
