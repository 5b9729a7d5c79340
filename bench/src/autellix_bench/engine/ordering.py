"""Who goes first in an engine: Algorithm 1's queues, or an order to compare it with."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from typing import Protocol

from autellix_core import batch, levels
from autellix_core.batch import Room, Selection
from autellix_core.levels import NEVER, Queued
from autellix_core.priority import Policy
from autellix_core.queues import Turn

__all__ = ["Order", "Ranked"]


class Order(Protocol):
    """What an engine model asks of its queues: what :class:`autellix_core.queues.Queues` is, which explains it."""

    def __len__(self) -> int: ...
    def __contains__(self, call: str) -> bool: ...
    def __getitem__(self, call: str) -> Queued: ...
    @property
    def waiting(self) -> Iterator[Queued]: ...
    @property
    def running(self) -> Iterator[Queued]: ...
    @property
    def due(self) -> float: ...
    def lengths(self) -> list[tuple[int, int]]: ...
    def enter(
        self,
        call: str,
        service_s: float,
        *,
        now: float,
        policy: Policy = ...,
        program_wait_s: float = ...,
        program_service_s: float = ...,
    ) -> Queued: ...
    def started(self, call: str, *, now: float) -> Queued: ...
    def preempted(self, call: str, *, now: float) -> Queued: ...
    def leave(self, call: str) -> Queued: ...
    def turn(self, *, now: float) -> Turn: ...
    def select(
        self,
        room: Room,
        *,
        needs: Callable[[Queued], int],
        holds: Callable[[Queued], int],
        most_preemptions: int,
        loses: Callable[[Queued], float] | None = ...,
    ) -> Selection: ...


class Ranked:
    """Calls in the order of one number each, which they enter with and keep: no levels, no quanta, no promotion.

    The number, in seconds, comes in place of the program's service; it counts in microseconds. ``preemptive``: whether
    a call with a smaller number displaces a running one, by the same rule as in Algorithm 1 (:func:`batch.select`).
    """

    def __init__(self, *, preemptive: bool) -> None:
        self.preemptive = preemptive
        self._calls: dict[str, Queued] = {}
        self._waiting: list[tuple[int, int, str]] = []
        self._running: list[tuple[int, int, str]] = []
        self._serial = 0

    def __len__(self) -> int:
        return len(self._calls)

    def __contains__(self, call: str) -> bool:
        return call in self._calls

    def __getitem__(self, call: str) -> Queued:
        return self._calls[call]

    @property
    def waiting(self) -> Iterator[Queued]:
        """Waiting calls, smallest number first."""
        return (self._calls[call] for _, _, call in self._waiting)

    @property
    def running(self) -> Iterator[Queued]:
        """Running calls, largest number first."""
        return (self._calls[call] for _, _, call in reversed(self._running))

    @property
    def due(self) -> float:
        """Time alone changes nothing."""
        return NEVER

    def lengths(self) -> list[tuple[int, int]]:
        """(waiting, running) calls, as of one level."""
        return [(len(self._waiting), len(self._running))]

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
        """Queue a new call. Raises ValueError if the id is already here."""
        if call in self._calls:
            raise ValueError(f"Call {call} is already queued; every call needs an id of its own.")
        self._serial += 1
        return self._put(
            Queued(
                id=call,
                level=round(service_s * 1e6),
                quantum_left_s=NEVER,
                enqueued_at=now,
                since=now,
                serial=self._serial,
                program_wait_s=program_wait_s,
                program_service_s=program_service_s,
            )
        )

    def started(self, call: str, *, now: float) -> Queued:
        """The engine took the call into its batch."""
        return self._put(levels.start(self._take(call), now=now))

    def preempted(self, call: str, *, now: float) -> Queued:
        """The engine put the call back."""
        return self._put(levels.preempt(self._take(call), now=now))

    def leave(self, call: str) -> Queued:
        """The call finished or was aborted."""
        last = self._take(call)
        del self._calls[call]
        return last

    def turn(self, *, now: float) -> Turn:
        """Nobody is demoted or promoted."""
        return Turn(demoted=(), promoted=())

    def select(
        self,
        room: Room,
        *,
        needs: Callable[[Queued], int],
        holds: Callable[[Queued], int],
        most_preemptions: int,
        loses: Callable[[Queued], float] | None = None,
    ) -> Selection:
        """Choose the batch's changes."""
        running = self.running if self.preemptive else iter(())
        return batch.select(
            self.waiting, running, room, needs=needs, holds=holds, most_preemptions=most_preemptions, loses=loses
        )

    def _put(self, call: Queued) -> Queued:
        self._calls[call.id] = call
        insort(self._running if call.running else self._waiting, (call.level, call.serial, call.id))
        return call

    def _take(self, call: str) -> Queued:
        known = self._calls[call]
        line = self._running if known.running else self._waiting
        del line[bisect_left(line, (known.level, known.serial, known.id))]
        return known
