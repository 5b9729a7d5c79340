"""When what is done: how many writes a second, and which object is next."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

__all__ = ["Due", "Key", "Pace"]

Key = tuple[str, str]
"""Namespace and name of an object."""


class Pace:
    """Turns at most so many times a second, in the order they were asked for; a second's worth may come at once."""

    def __init__(
        self,
        per_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._gap_s = 1.0 / per_s
        self._clock = clock
        self._sleep = sleep
        self._next = clock()

    async def turn(self) -> None:
        """Wait for the next one."""
        now = self._clock()
        # What was not used within the last second is lost.
        mine = max(self._next, now - 1.0)
        self._next = mine + self._gap_s
        if mine > now:
            await self._sleep(mine - now)


@dataclass(slots=True)
class _Entry:
    at: float
    urgent: bool


class Due:
    """Objects to look at, each from its time on: urgent ones first, then the one that was looked at longest ago.

    An object is in one pair of hands at a time: one that was taken comes again only after ``done``. Putting it
    meanwhile is remembered.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._entries: dict[Key, _Entry] = {}
        self._taken: set[Key] = set()
        self._last: dict[Key, float] = {}
        self._woken = asyncio.Event()

    def put(self, key: Key, *, in_s: float = 0.0, urgent: bool = False) -> None:
        """Look at it in so long, or earlier if that was asked for before."""
        at = self._clock() + in_s
        entry = self._entries.get(key)
        if entry is None:
            self._entries[key] = _Entry(at, urgent)
        else:
            entry.at, entry.urgent = min(entry.at, at), entry.urgent or urgent
        self._woken.set()

    def forget(self, key: Key) -> None:
        """It is gone."""
        self._entries.pop(key, None)
        self._last.pop(key, None)

    async def take(self) -> Key:
        """Wait for one that is due."""
        while True:
            if (key := self._next()) is not None:
                del self._entries[key]
                self._taken.add(key)
                return key
            self._woken.clear()
            pending = [entry.at for key, entry in self._entries.items() if key not in self._taken]
            wait_s = max(min(pending) - self._clock(), 0.001) if pending else None
            try:
                await asyncio.wait_for(self._woken.wait(), wait_s)
            except TimeoutError:
                continue

    def done(self, key: Key) -> None:
        """It was looked at."""
        self._taken.discard(key)
        self._last[key] = self._clock()
        self._woken.set()

    def waiting(self) -> tuple[int, float]:
        """How many are due, and for how long the one that has been so longest (seconds)."""
        now = self._clock()
        late = [now - entry.at for entry in self._entries.values() if entry.at <= now]
        return len(late), max(late, default=0.0)

    def _next(self) -> Key | None:
        now = self._clock()
        due = ((key, entry) for key, entry in self._entries.items() if entry.at <= now and key not in self._taken)
        return min(due, key=lambda each: (not each[1].urgent, self._last.get(each[0], 0.0)), default=(None, None))[0]
