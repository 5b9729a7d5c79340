"""Tokens a second under a load that makes the adapter preempt all the time, against stock FCFS."""

import asyncio
import math
import random
import time
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass

from adapter_benchmark.servers import ADAPTER, FCFS, serving
from adapter_benchmark.tables import Table, at_percentile
from adapter_benchmark.traffic import Caller, Salts
from autellix_core.priority import Policy

__all__ = ["measure"]

_BATCH = 8
_AGENTS = 32
_CALLS = 120
_CALL = {"prompt": 160, "output": 80}
_LEVELS = ("--level-bounds", "0.02,0.04,0.08,0.16,0.32,0.64,1.28")
"""So short that a call uses several quanta up and is displaced by newer ones."""
_STOCK, _PRESENT, _PREEMPTING = FCFS.name, "adapter, calls under FCFS", "adapter"
_GENERATED = "vllm:generation_tokens_total"


@dataclass(frozen=True, slots=True)
class _Passage:
    full_tokens_per_s: float
    """While there were enough calls to fill the batch."""
    all_tokens_per_s: float
    """To the end of the last call."""
    cpu_s_per_1000_tokens: float
    """Of all the server's processes: what it takes whoever else is on the machine."""
    preemptions: int
    computed_again_tokens: int | None = None
    """By the adapter's own count; None of a stock server."""


async def measure(seed: int, repetitions: int) -> Table:
    """The same calls to both servers, both up, one of them busy at a time; the order turns with each repetition."""
    salts = Salts(seed)
    async with AsyncExitStack() as stack:
        flags = ("--max-num-seqs", str(_BATCH))
        stock = await stack.enter_async_context(serving(FCFS, *flags))
        ours = await stack.enter_async_context(serving(ADAPTER, *flags, settings=_LEVELS))
        ways = {
            _STOCK: Caller(stock, salts),
            _PRESENT: Caller(ours, salts, Policy.FCFS),
            _PREEMPTING: Caller(ours, salts),
        }
        for caller in ways.values():
            await stack.enter_async_context(caller)
            await _pass(caller, seed, _CALLS // 4)
        passages: dict[str, list[_Passage]] = {name: [] for name in ways}
        order = list(ways)
        for repetition in range(repetitions):
            for name in order:
                passages[name].append(await _pass(ways[name], seed + repetition, _CALLS))
            order.append(order.pop(0))
    return _table(passages)


def _table(passages: dict[str, list[_Passage]]) -> Table:
    stock = passages[_STOCK]
    lost = {
        name: (
            [1 - one.full_tokens_per_s / other.full_tokens_per_s for one, other in zip(given, stock, strict=True)],
            [1 - one.all_tokens_per_s / other.all_tokens_per_s for one, other in zip(given, stock, strict=True)],
            [
                one.cpu_s_per_1000_tokens / other.cpu_s_per_1000_tokens - 1
                for one, other in zip(given, stock, strict=True)
            ],
        )
        for name, given in passages.items()
    }
    rows = tuple(
        (
            name,
            f"{at_percentile([each.full_tokens_per_s for each in given], 50):.0f}",
            f"{at_percentile([each.all_tokens_per_s for each in given], 50):.0f}",
            *(("", "") if given is stock else (_lost(lost[name][0]), _lost(lost[name][1]))),
            f"{at_percentile([each.cpu_s_per_1000_tokens for each in given], 50):.2f}",
            "" if given is stock else _lost(lost[name][2]),
            f"{at_percentile([each.preemptions for each in given], 50):.0f}",
            _again(given),
        )
        for name, given in passages.items()
    )
    return Table(
        title="Throughput lost under a preemption-heavy load",
        columns=(
            *("system", "tokens/s, batch full", "to the end"),
            *("lost, batch full (median, range)", "lost, to the end"),
            *("CPU s per 1,000 tokens", "more CPU", "preemptions", "computed again each"),
        ),
        rows=rows,
        note=(
            f"{_CALLS} calls of {_CALL['prompt']} + {_CALL['output']} tokens, {_AGENTS} at a time, at --max-num-seqs "
            f"{_BATCH}, from programs whose service is random; levels from 20 ms on. {len(stock)} repetitions, "
            "interleaved: lost is against stock's pass of the same repetition, and a negative loss a gain. Stock's own "
            f"passes were {_spread(stock)} of their median. The second row is the adapter with every call under FCFS: "
            "it keeps its books and decides, but has nothing to preempt."
        ),
        values={
            name: {
                "passes": [asdict(each) for each in given],
                "lost_batch_full": lost[name][0],
                "lost_to_the_end": lost[name][1],
                "more_cpu": lost[name][2],
            }
            for name, given in passages.items()
        },
    )


async def _pass(caller: Caller, seed: int, calls: int) -> _Passage:
    chance = random.Random(seed)  # noqa: S311 - no secret
    services_s = iter([math.exp(chance.uniform(math.log(0.005), math.log(2.0))) for _ in range(calls)])
    busy, preemptions = _AGENTS, 0
    thinned: asyncio.Task[tuple[float, float]] | None = None
    before = await _computed_again(caller)
    cpu_s = caller.server.cpu_s()
    begun, generated = time.perf_counter(), await caller.counter(_GENERATED)

    async def produced() -> tuple[float, float]:
        now = time.perf_counter()
        return now, await caller.counter(_GENERATED)

    async def agent() -> None:
        nonlocal busy, preemptions, thinned
        for service_s in services_s:
            answered = await caller.whole(service_s=service_s, **_CALL)
            preemptions += answered.preemptions
        busy -= 1
        if busy < _BATCH and thinned is None:
            thinned = asyncio.create_task(produced())

    async with asyncio.TaskGroup() as group:
        for _ in range(_AGENTS):
            group.create_task(agent())
    ended = time.perf_counter()
    cpu_s = caller.server.cpu_s() - cpu_s
    assert thinned is not None
    at, then = await thinned
    again = await _computed_again(caller)
    return _Passage(
        full_tokens_per_s=(then - generated) / (at - begun),
        all_tokens_per_s=calls * _CALL["output"] / (ended - begun),
        cpu_s_per_1000_tokens=1000 * cpu_s / (calls * _CALL["output"]),
        preemptions=preemptions,
        computed_again_tokens=None if again is None or before is None else again - before,
    )


async def _computed_again(caller: Caller) -> int | None:
    if not caller.server.system.adapter:
        return None
    return int((await caller.state())["counts"]["recomputed_tokens"])


def _lost(ratios: list[float]) -> str:
    return f"{at_percentile(ratios, 50):.1%} ({min(ratios):.1%} to {max(ratios):.1%})"


def _again(given: list[_Passage]) -> str:
    preemptions = sum(each.preemptions for each in given)
    return f"{sum(each.computed_again_tokens or 0 for each in given) / preemptions:.1f}" if preemptions else "-"


def _spread(given: list[_Passage]) -> str:
    rates = [each.full_tokens_per_s for each in given]
    middle = at_percentile(rates, 50)
    return f"{min(rates) / middle:.0%} to {max(rates) / middle:.0%}"
