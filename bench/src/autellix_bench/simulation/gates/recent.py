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

import heapq
from collections import deque

from autellix_bench.simulation.gates.gate import Pool
from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["RecentFirst"]

_Place = tuple[bool, float, int]


class RecentFirst:
    """The gate."""

    def __init__(self, pool: Pool) -> None:
        self._places = pool.slots
        self._held: dict[str, deque[Thread]] = {}
        self._answered: dict[str, float] = {}
        self._line: list[tuple[_Place, str]] = []
        """Sessions with calls, best first; a place that is not theirs any more is passed over."""

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came."""
        session = thread.of.program.id
        held = self._held.setdefault(session, deque())
        held.append(thread)
        if len(held) == 1:
            heapq.heappush(self._line, (self._place(session), session))

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The oldest call of the session that was answered last, if there is a place."""
        while inside < self._places and self._line:
            place, session = heapq.heappop(self._line)
            if session not in self._held or place != self._place(session):
                continue
            held = self._held[session]
            thread = held.popleft()
            if held:
                heapq.heappush(self._line, (self._place(session), session))
            else:
                del self._held[session]
            return thread
        return None

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """Its session is the most recent one now; one that is over is forgotten."""
        session = thread.of.program.id
        self._answered[session] = now
        if not thread.of.left:
            del self._answered[session]
        elif session in self._held:
            heapq.heappush(self._line, (self._place(session), session))

    def _place(self, session: str) -> _Place:
        answered, oldest = self._answered.get(session), self._held[session][0]
        return (True, 0.0, oldest.serial) if answered is None else (False, -answered, oldest.serial)
