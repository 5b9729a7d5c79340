"""Tokens a second under a load that makes the adapter preempt all the time, against stock FCFS."""

import asyncio
import itertools
import math
import random
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

from adapter_benchmark.servers import ADAPTER, FCFS, serving
from adapter_benchmark.tables import Table, at_percentile
from adapter_benchmark.traffic import Caller, Salts
from autellix_core.priority import Policy

__all__ = ["measure"]

_BATCH = 8
_AGENTS = 32
_PROMPT = 160
_LEVELS = ("--level-bounds", "0.02,0.04,0.08,0.16,0.32,0.64,1.28")
"""So short that a call uses several quanta up and is displaced by newer ones."""
_STOCK, _PRESENT, _PREEMPTING = FCFS.name, "adapter, calls under FCFS", "adapter"
_GENERATED = "vllm:generation_tokens_total"


@dataclass(frozen=True, slots=True)
class _Load:
    """A preemption costs about a step, whatever the call: what it costs of the throughput depends on their length."""

    calls: int
    output: int


_LOADS = (_Load(calls=120, output=80), _Load(calls=48, output=277))
"""Short answers, so that preemptions weigh most; and the mean of ShareGPT's (the paper's Figure 11)."""


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
            await _pass(caller, seed, _Load(calls=30, output=80))
        passages: dict[_Load, dict[str, list[_Passage]]] = {load: {name: [] for name in ways} for load in _LOADS}
        order = list(ways)
        for repetition in range(repetitions):
            for load, name in itertools.product(_LOADS, order):
                passages[load][name].append(await _pass(ways[name], seed + repetition, load))
            order.append(order.pop(0))
    return _table(passages)


def _table(passages: dict[_Load, dict[str, list[_Passage]]]) -> Table:
    rows: list[tuple[str, ...]] = []
    values: dict[str, Any] = {}
    for load, given in passages.items():
        rows += _rows(load, given)
        values[str(load.output)] = {
            name: {"passes": [asdict(each) for each in passes], **_against(passes, given[_STOCK])}
            for name, passes in given.items()
        }
    spreads = "; ".join(f"{_spread(given[_STOCK])} at {load.output}" for load, given in passages.items())
    return Table(
        title="Throughput lost under a preemption-heavy load",
        columns=(
            *("answer", "system", "tokens/s, batch full", "to the end"),
            *("lost, batch full (median, range)", "lost, to the end"),
            *("CPU s per 1,000 tokens", "more CPU", "preemptions", "computed again each"),
        ),
        rows=tuple(rows),
        note=(
            f"{' and '.join(f'{load.calls} calls of {_PROMPT} + {load.output} tokens' for load in passages)}, "
            f"{_AGENTS} at a time, at --max-num-seqs {_BATCH}, from programs whose service is random; levels from 20 "
            f"ms on. {len(next(iter(passages.values()))[_STOCK])} repetitions, interleaved: lost is against stock's "
            "pass of the same repetition, and a negative loss a gain. Stock's own passes were "
            f"{spreads} of their median. The second row of each is the adapter with every call under FCFS: it keeps "
            "its books and decides, but has nothing to preempt."
        ),
        values=values,
    )


def _rows(load: _Load, given: dict[str, list[_Passage]]) -> Iterator[tuple[str, ...]]:
    for name, passes in given.items():
        lost = _against(passes, given[_STOCK])
        yield (
            str(load.output),
            name,
            f"{at_percentile([each.full_tokens_per_s for each in passes], 50):.0f}",
            f"{at_percentile([each.all_tokens_per_s for each in passes], 50):.0f}",
            *(("", "") if name == _STOCK else (_lost(lost["lost_batch_full"]), _lost(lost["lost_to_the_end"]))),
            f"{at_percentile([each.cpu_s_per_1000_tokens for each in passes], 50):.2f}",
            "" if name == _STOCK else _lost(lost["more_cpu"]),
            f"{at_percentile([each.preemptions for each in passes], 50):.0f}",
            _again(passes),
        )


def _against(given: list[_Passage], stock: list[_Passage]) -> dict[str, list[float]]:
    """Each pass against stock's of the same repetition."""
    pairs = list(zip(given, stock, strict=True))
    return {
        "lost_batch_full": [1 - one.full_tokens_per_s / other.full_tokens_per_s for one, other in pairs],
        "lost_to_the_end": [1 - one.all_tokens_per_s / other.all_tokens_per_s for one, other in pairs],
        "more_cpu": [one.cpu_s_per_1000_tokens / other.cpu_s_per_1000_tokens - 1 for one, other in pairs],
    }


async def _pass(caller: Caller, seed: int, load: _Load) -> _Passage:
    chance = random.Random(seed)  # noqa: S311 - no secret
    services_s = iter([math.exp(chance.uniform(math.log(0.005), math.log(2.0))) for _ in range(load.calls)])
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
            answered = await caller.whole(service_s=service_s, prompt=_PROMPT, output=load.output)
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
        all_tokens_per_s=load.calls * load.output / (ended - begun),
        cpu_s_per_1000_tokens=1000 * cpu_s / (load.calls * load.output),
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
