"""Waiting for what happens beside a request, by looking again, never by a fixed pause."""

import asyncio
from collections.abc import Awaitable, Callable

__all__ = ["eventually"]


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, *, tries: int = 500) -> None:
    """Look until it holds; fail with ``what`` after five seconds or more."""
    for _ in range(tries):
        if await holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"It never came about that {what}.")
