"""Sessions that were served last come first.

What it does: whenever an engine has a free place, calls of sessions that had an answer before go first, the most recent
answer at the head; new sessions follow in order of arrival.

Inputs: when each session was last answered.

Trade-offs: a follow-up finds its prefix still in the cache. A busy session can keep new ones out for as long as it has
calls: that is the starvation which Kthena bounds by overtaking counts, and which is left as it is here.

Like Kthena's session boost. Left out: the grace period that holds a freed place for a follow-up, the bound on
overtaking, its limit on remembered sessions, and the backend's own metrics, in whose place a bound of as many calls as
the engines have places stands.
"""

from collections import deque

from autellix_bench.simulation.gates.gate import Pool
from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["RecentFirst"]


class RecentFirst:
    """The gate."""

    def __init__(self, pool: Pool) -> None:
        self._places = pool.slots
        self._held: dict[str, deque[Thread]] = {}
        self._answered: dict[str, float] = {}

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came."""
        self._held.setdefault(thread.of.program.id, deque()).append(thread)

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The oldest call of the session that was answered last, if there is a place."""
        if inside >= self._places or not self._held:
            return None
        best = min(self._held, key=self._place)
        held = self._held[best]
        thread = held.popleft()
        if not held:
            del self._held[best]
        return thread

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """Its session is the most recent one now; one that is over is forgotten."""
        self._answered[thread.of.program.id] = now
        if not thread.of.left:
            del self._answered[thread.of.program.id]

    def _place(self, program: str) -> tuple[bool, float, int]:
        answered, oldest = self._answered.get(program), self._held[program][0]
        return (True, 0.0, oldest.serial) if answered is None else (False, -answered, oldest.serial)
