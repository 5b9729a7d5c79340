"""What engines say of themselves, by vLLM's metrics: whether they are idle, and how much of prompts was cached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from autellix_bench.peers import NotReady

__all__ = ["Load", "cached_share", "idle", "read"]

_ASK_S = 10.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """One engine, or several summed up."""

    calls: float = 0.0
    """Running and waiting."""
    prompt_tokens: float = 0.0
    """Looked up in the prefix cache since the start."""
    cached_tokens: float = 0.0
    """And found."""


def read(text: str) -> Load:
    """From the text of ``/metrics``."""
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return Load(
        calls=sums.get("vllm:num_requests_running", 0.0) + sums.get("vllm:num_requests_waiting", 0.0),
        prompt_tokens=sums.get("vllm:prefix_cache_queries_total", 0.0),
        cached_tokens=sums.get("vllm:prefix_cache_hits_total", 0.0),
    )


def cached_share(before: Load, after: Load) -> float | None:
    """Of the prompt tokens between the two; None if there were none."""
    looked_up = after.prompt_tokens - before.prompt_tokens
    return (after.cached_tokens - before.cached_tokens) / looked_up if looked_up > 0 else None


async def idle(urls: Sequence[str], *, deadline_s: float = 120.0) -> Load:
    """Wait until none of these engines has a call left, and return what they then say, summed up.

    :raises NotReady: if one has after the deadline, or does not answer.
    """
    deadline = time.monotonic() + deadline_s
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(_ASK_S)) as http:
        while (load := _sum([read(await _metrics(http, url)) for url in urls])).calls:
            if time.monotonic() > deadline:
                raise NotReady(
                    f"After {deadline_s:.0f} s the engines still have {load.calls:.0f} calls of the last run."
                )
            await asyncio.sleep(_POLL_S)
    return load


async def _metrics(http: aiohttp.ClientSession, url: str) -> str:
    try:
        async with http.get(f"{url}/metrics") as reply:
            reply.raise_for_status()
            return await reply.text()
    except (aiohttp.ClientError, TimeoutError) as error:
        raise NotReady(
            f"The engine at {url} does not show its metrics: {str(error) or type(error).__name__}."
        ) from error


def _sum(loads: Iterable[Load]) -> Load:
    total = Load()
    for load in loads:
        total = Load(
            total.calls + load.calls,
            total.prompt_tokens + load.prompt_tokens,
            total.cached_tokens + load.cached_tokens,
        )
    return total
