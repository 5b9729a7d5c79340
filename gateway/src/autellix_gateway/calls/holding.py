"""Where calls wait while no engine takes them, such as those of a pool scaled to zero.

They wait in their policy's order: the programs with the least service first, then by arrival. All leave as soon as an
engine is ready, in that order, since it is the engine that then orders them by program. A pool bounds how many wait for
it in one gateway, and how long.
"""

import asyncio
import itertools
import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from autellix_gateway.engines.members import Pool
from autellix_gateway.engines.registry import Engines
from autellix_gateway.errors import QueueFull, QueueWaitExceeded, ShuttingDown, Unavailable

__all__ = ["HoldQueue"]


@dataclass(frozen=True, slots=True, order=True)
class _Waiting:
    service_s: float
    arrived: float
    serial: int
    model: str = field(compare=False)
    pool: str = field(compare=False)
    since: float = field(compare=False)
    released: "asyncio.Future[None]" = field(compare=False)


class HoldQueue:
    """The calls of this gateway that wait for an engine. ``clock`` gives monotonic seconds."""

    def __init__(self, engines: Engines, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engines = engines
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._counts: Counter[str] = Counter()
        self._serials = itertools.count()
        self._closed = False
        engines.listen(self._release)

    def held(self) -> Mapping[str, tuple[int, float]]:
        """By pool: how many calls wait, and for how many seconds the longest of them has."""
        now = self._clock()
        longest_s: dict[str, float] = {}
        for waiting in self._waiting:
            longest_s[waiting.pool] = max(longest_s.get(waiting.pool, 0.0), now - waiting.since)
        return {pool: (self._counts[pool], waited_s) for pool, waited_s in longest_s.items()}

    def check_room(self, model: str) -> None:
        """Whether a call for the model could wait now. Raises what :meth:`wait` would raise at once."""
        self._pool(model, waited=False)

    async def wait(self, model: str, *, service_s: float, arrived: float, held_s: float = 0.0) -> None:
        """Return once an engine is ready for the model; it may be gone again when the call gets to it.

        ``service_s`` and ``arrived`` are its place in the order. ``held_s`` is how long it waited here before: it then
        has its place and only the rest of its time.

        Raises :class:`Unavailable` where no pool holds calls for the model (any more), :class:`ShuttingDown`,
        :class:`QueueFull`, :class:`QueueWaitExceeded`.
        """
        if self._engines.pools_of(model) and self._engines.ready(model):
            return
        pool = self._pool(model, waited=held_s > 0.0)
        released: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        since = self._clock() - held_s
        waiting = _Waiting(service_s, arrived, next(self._serials), model, pool.name, since, released)
        insort(self._waiting, waiting)
        self._counts[pool.name] += 1
        try:
            async with asyncio.timeout(pool.hold_s - held_s):
                await released
        except TimeoutError:
            raise QueueWaitExceeded(
                f"Queue wait exceeded: no engine of the pool {pool.name} was ready for {model!r} within "
                f"{pool.hold_s:g} seconds; see whether the pool can start one."
            ) from None
        finally:
            self._waiting.remove(waiting)
            self._counts[pool.name] -= 1

    def close(self) -> None:
        """The gateway ends: nobody waits here any more."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.released.done():
                waiting.released.set_exception(_ending())

    def _pool(self, model: str, *, waited: bool) -> Pool:
        """The pool that a call for the model waits for: the first by name that has room."""
        pools = self._engines.pools_of(model)
        if not pools:
            raise Unavailable(f"No engine takes calls for {model!r} now; try again in a moment, or look at /readyz.")
        if self._closed:
            raise _ending()
        for pool in pools:
            if waited or self._counts[pool.name] < pool.most_held:
                return pool
        raise QueueFull(
            f"No engine is ready for {model!r}, and as many calls wait for one as may; nothing was done, try later."
        )

    def _release(self) -> None:
        """Let those go for whom an engine is ready, or whose pool is not there any more."""
        pools = {
            model: {pool.name for pool in self._engines.pools_of(model)}
            for model in {waiting.model for waiting in self._waiting}
        }
        ready = {model for model in pools if self._engines.ready(model)}
        for waiting in self._waiting:
            go = waiting.model in ready or waiting.pool not in pools[waiting.model]
            if go and not waiting.released.done():
                waiting.released.set_result(None)


def _ending() -> ShuttingDown:
    return ShuttingDown("This gateway is shutting down, and no engine had taken the call; send it again.")
