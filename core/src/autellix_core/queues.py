"""Algorithm 1 as one state machine: an engine's K queues and its batch.

This is the only thing in the core that changes in place, since an engine takes a decision at every few steps over
thousands of calls. It keeps no rule of its own: rules are those of :mod:`levels` and :mod:`batch`; what it adds is
order (each level sorted by place) and the heap of what time will bring, so that a decision costs what changes, not
what exists.

The engine adapter and the simulated engine own one each and tell it what their engine did (:meth:`Queues.enter`,
:meth:`Queues.started`, :meth:`Queues.preempted`, :meth:`Queues.leave`) and ask it what to do (:meth:`Queues.turn`,
:meth:`Queues.select`). Calls under :attr:`Policy.FCFS` live on the first level with an endless quantum, so a load
of them is served in order of arrival.
"""

import heapq
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from autellix_core import batch, levels
from autellix_core.batch import Room, Selection
from autellix_core.levels import Levels, Queued
from autellix_core.priority import Policy

__all__ = ["Queues", "Turn"]


@dataclass(frozen=True, slots=True)
class Turn:
    """What time alone changed since the last turn, each call as it is now."""

    demoted: tuple[Queued, ...]
    promoted: tuple[Queued, ...]


class Queues:
    """The queues of one engine. Every method is a few comparisons and at most one sorted insertion a call."""

    def __init__(self, of: Levels) -> None:
        self.levels = of
        self._calls: dict[str, Queued] = {}
        self._waiting = _Shelves(of.count)
        self._running = _Shelves(of.count)
        self._due: list[tuple[float, int, str]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, call: str) -> bool:
        return call in self._calls

    def __getitem__(self, call: str) -> Queued:
        """The call as it is. Raises KeyError for one that is not here."""
        return self._calls[call]

    @property
    def waiting(self) -> Iterator[Queued]:
        """Waiting calls, best first."""
        return (self._calls[call] for call in self._waiting.best_first())

    @property
    def running(self) -> Iterator[Queued]:
        """Running calls, worst first."""
        return (self._calls[call] for call in self._running.worst_first())

    @property
    def contested(self) -> bool:
        """Whether some call waits on a better level than one that runs: else no decision displaces anybody."""
        return self._waiting.best_level() < self._running.worst_level()

    @property
    def due(self) -> float:
        """When time alone will next change something (:meth:`turn`); ``levels.NEVER`` if it never will."""
        while self._due:
            if self._comes_to_pass(*self._due[0]):
                return self._due[0][0]
            heapq.heappop(self._due)
        return levels.NEVER

    def lengths(self) -> list[tuple[int, int]]:
        """(waiting, running) calls of each level, best level first."""
        return list(zip(self._waiting.lengths(), self._running.lengths(), strict=True))

    def enter(
        self,
        call: str,
        service_s: float,
        *,
        now: float,
        policy: Policy = Policy.ATLAS,
        program_wait_s: float = 0.0,
        program_service_s: float = 0.0,
    ) -> Queued:
        """Queue a new call by its program's service. Raises ValueError if the id is already here."""
        if call in self._calls:
            raise ValueError(f"Call {call} is already queued; every call needs an id of its own.")
        self._serial += 1
        return self._put(
            levels.enter(
                self.levels.under(policy),
                call,
                service_s,
                now=now,
                serial=self._serial,
                program_wait_s=program_wait_s,
                program_service_s=program_service_s,
            )
        )

    def started(self, call: str, *, now: float) -> Queued:
        """The engine took the call into its batch. Of a call that runs already, nothing changes."""
        known = self._calls[call]
        return known if known.running else self._put(levels.start(self._take(call), now=now))

    def preempted(self, call: str, *, now: float) -> Queued:
        """The engine put the call back, for us or for want of memory. Of a waiting call, nothing changes."""
        known = self._calls[call]
        return self._put(levels.preempt(self._take(call), now=now)) if known.running else known

    def leave(self, call: str) -> Queued:
        """The call finished or was aborted. Its last state is returned; see :func:`levels.measured`."""
        last = self._take(call)
        del self._calls[call]
        return last

    def turn(self, *, now: float) -> Turn:
        """Demote the running calls whose quantum is used up and promote the waiting ones that starved."""
        demoted: dict[str, Queued] = {}
        promoted: dict[str, Queued] = {}
        while self._due and self._due[0][0] <= now:
            at, serial, call = heapq.heappop(self._due)
            if not self._comes_to_pass(at, serial, call):
                continue
            if self._calls[call].running:
                demoted[call] = self._put(levels.demote(self.levels, self._take(call), now=now))
            else:
                promoted[call] = self._put(levels.promote(self.levels, self._take(call), now=now))
        return Turn(demoted=tuple(demoted.values()), promoted=tuple(promoted.values()))

    def select(
        self,
        room: Room,
        *,
        needs: Callable[[Queued], int],
        holds: Callable[[Queued], int],
        most_preemptions: int,
        may_run: Callable[[Queued], bool] = lambda _: True,
        may_leave: Callable[[Queued], bool] = lambda _: True,
        loses: Callable[[Queued], float] | None = None,
    ) -> Selection:
        """Choose the batch's changes; nothing here changes before the engine says that it did them.

        ``may_run`` leaves out waiting calls that the engine could not run now (a grammar still compiling),
        ``may_leave`` running ones that it could not put back now. The rest is :func:`batch.select`'s.
        """
        return batch.select(
            (call for call in self.waiting if may_run(call)),
            (call for call in self.running if may_leave(call)),
            room,
            needs=needs,
            holds=holds,
            most_preemptions=most_preemptions,
            loses=loses,
        )

    def _put(self, call: Queued) -> Queued:
        self._calls[call.id] = call
        (self._running if call.running else self._waiting).add(call)
        due = levels.due_at(self.levels, call)
        if due != levels.NEVER:
            heapq.heappush(self._due, (due, call.serial, call.id))
            if len(self._due) > 64 + 4 * len(self._calls):
                self._forget_what_did_not_come_to_pass()
        return call

    def _comes_to_pass(self, at: float, serial: int, call: str) -> bool:
        """Whether what was foreseen of the call still holds: it may have moved or left meanwhile."""
        known = self._calls.get(call)
        return known is not None and known.serial == serial and levels.due_at(self.levels, known) == at

    def _forget_what_did_not_come_to_pass(self) -> None:
        foreseen = ((levels.due_at(self.levels, call), call.serial, call.id) for call in self._calls.values())
        self._due = [entry for entry in foreseen if entry[0] != levels.NEVER]
        heapq.heapify(self._due)

    def _take(self, call: str) -> Queued:
        known = self._calls[call]
        (self._running if known.running else self._waiting).remove(known)
        return known


class _Shelves:
    """Calls by level, each level sorted by place. Insertions are mostly at the tail, removals at the head."""

    def __init__(self, count: int) -> None:
        self._levels: list[list[tuple[float, int, str]]] = [[] for _ in range(count)]

    def add(self, call: Queued) -> None:
        insort(self._levels[call.level], _place(call))

    def remove(self, call: Queued) -> None:
        shelf = self._levels[call.level]
        del shelf[bisect_left(shelf, _place(call))]

    def best_first(self) -> Iterator[str]:
        return (call for shelf in self._levels for _, _, call in shelf)

    def worst_first(self) -> Iterator[str]:
        return (call for shelf in reversed(self._levels) for _, _, call in reversed(shelf))

    def best_level(self) -> int:
        return next((level for level, shelf in enumerate(self._levels) if shelf), len(self._levels))

    def worst_level(self) -> int:
        return next((level for level in range(len(self._levels) - 1, -1, -1) if self._levels[level]), -1)

    def lengths(self) -> list[int]:
        return [len(shelf) for shelf in self._levels]


def _place(call: Queued) -> tuple[float, int, str]:
    return call.enqueued_at, call.serial, call.id
