"""How long the calls that ended lately had waited, by engine."""

import time
from collections.abc import Callable, Mapping

from autellix_core.program import EngineId

__all__ = ["RecentWaits"]

_SLICES = 6


class RecentWaits:
    """Sums and counts of queue times over the last ``window_s`` seconds, in slices of a sixth of it.

    An engine whose calls all ended longer ago is forgotten, so it holds no more than the engines of one window.
    ``clock`` gives monotonic seconds.
    """

    def __init__(self, window_s: float = 60.0, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._slice_s = window_s / _SLICES
        self._clock = clock
        self._slices: dict[int, dict[EngineId, tuple[float, int]]] = {}

    def observe(self, engine: EngineId, wait_s: float) -> None:
        """A call ended that had waited so long in that engine's queues."""
        now = self._now()
        self._forget(now)
        of = self._slices.setdefault(now, {})
        sum_s, calls = of.get(engine, (0.0, 0))
        of[engine] = (sum_s + wait_s, calls + 1)

    def by_engine(self) -> Mapping[EngineId, tuple[float, int]]:
        """Per engine the seconds that calls waited there in all, and how many calls those were."""
        self._forget(self._now())
        total: dict[EngineId, tuple[float, int]] = {}
        for of in self._slices.values():
            for engine, (more_s, more) in of.items():
                sum_s, calls = total.get(engine, (0.0, 0))
                total[engine] = (sum_s + more_s, calls + more)
        return total

    def _now(self) -> int:
        return int(self._clock() // self._slice_s)

    def _forget(self, now: int) -> None:
        for old in [number for number in self._slices if number <= now - _SLICES]:
            del self._slices[old]
