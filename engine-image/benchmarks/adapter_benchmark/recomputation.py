"""Tokens computed again for each preemption: what of a preempted call was no longer cached when it was resumed.

vLLM has no metric of it (the cache hits of preempted requests are left out of its own), so what its scheduler does is
watched: how many tokens of a call were computed when it was preempted, and how many it had when it came back.
"""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapter_benchmark.schedulers import BLOCK, Clock, Variant, build, queue, step
from adapter_benchmark.steps import random_calls
from adapter_benchmark.tables import Table, at_percentile

__all__ = ["measure"]

_BATCH = 16
_QUEUED = 64
_STEPS = 3000
_OUTPUT = (200, 1000)
_ROOMS = (("ample: no block is taken away", 8.0), ("a batch and a half", 1.5), ("a batch", 1.0))
"""KV cache, in batches of calls of the longest kind."""
_LONGEST = 64 + _OUTPUT[1]


@dataclass(slots=True)
class _Watch:
    """One scheduler's preemptions."""

    scheduler: Any
    left: dict[str, int] = field(default_factory=dict)
    """Tokens computed of each preempted call that has not come back."""
    again: list[int] = field(default_factory=list)
    of: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        preempt = self.scheduler._preempt_request  # noqa: SLF001 - nobody else knows

        def preempting(request: Any, *args: Any, **kwargs: Any) -> Any:
            self.left[request.request_id] = request.num_computed_tokens
            return preempt(request, *args, **kwargs)

        self.scheduler._preempt_request = preempting  # noqa: SLF001

    def scheduled(self, output: Any) -> None:
        """Note which calls came back, and with how many of their tokens."""
        cached = output.scheduled_cached_reqs
        for request_id, kept in zip(cached.req_ids, cached.num_computed_tokens, strict=True):
            if request_id in cached.resumed_req_ids and request_id in self.left:
                had = self.left.pop(request_id)
                self.again.append(max(0, had - kept))
                self.of.append(had)


def measure(seed: int, model: Path) -> Table:
    """The adapter over vLLM's scheduler, with a KV cache that is ample, and with ones that are not."""
    rows = []
    values = {}
    for name, batches in _ROOMS:
        watch = _run(seed, model, blocks=int(batches * _BATCH * _LONGEST) // BLOCK)
        again, of = watch.again, watch.of
        rows.append(
            (
                name,
                str(len(again)),
                f"{sum(of) / len(of):.0f}",
                f"{sum(again) / len(again):.1f}",
                f"{at_percentile(again, 50):.0f}",
                f"{at_percentile(again, 99)}",
                f"{sum(again) / sum(of):.1%}",
            )
        )
        values[name] = {"computed_tokens": of, "computed_again_tokens": again}
    return Table(
        title="Tokens computed again for each preemption",
        columns=("KV cache", "preemptions", "tokens before (mean)", "again (mean)", "median", "p99", "share"),
        rows=tuple(rows),
        note=(
            f"The adapter over vLLM's scheduler without a model, blocks of {BLOCK} tokens, {_BATCH} running and "
            f"{_QUEUED} queued calls of 64 + {_OUTPUT[0]} to {_OUTPUT[1]} tokens, {_STEPS} steps. The last computed "
            "token always counts: vLLM computes at least one to go on from."
        ),
        values=values,
    )


def _run(seed: int, model: Path, *, blocks: int) -> _Watch:
    clock = Clock()
    variant = Variant("adapter", settings={})
    watch = _Watch(build(variant, model, batch=_BATCH, blocks=blocks, clock=clock))
    calls = random_calls(seed, output=_OUTPUT)
    missing = _BATCH + _QUEUED
    for _ in range(_STEPS):
        for call in itertools.islice(calls, missing):
            queue(watch.scheduler, call, clock)
        clock.advance()
        missing = len(step(watch.scheduler, watch.scheduled))
    return watch
