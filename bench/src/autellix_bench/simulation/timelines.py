"""Watches an engine's queues and notes when each call was in the batch, and on which level."""

from typing import Any

from autellix_bench.engine import Order
from autellix_bench.simulation.threads import Thread
from autellix_bench.timeline import Stretch
from autellix_core.levels import Queued
from autellix_core.queues import Turn

__all__ = ["Watched"]


class Watched:
    """An engine's queues, handed on unchanged, with every stay in the batch noted.

    A call's last stay ends when :meth:`left` says so, since the queues are not told the time of that.
    """

    def __init__(self, order: Order, engine: str, threads: dict[str, Thread], stretches: list[Stretch]) -> None:
        self._order, self._engine, self._threads, self._stretches = order, engine, threads, stretches
        self._began: dict[str, tuple[float, int]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._order, name)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, call: str) -> bool:
        return call in self._order

    def __getitem__(self, call: str) -> Queued:
        return self._order[call]

    def started(self, call: str, *, now: float) -> Queued:
        """A stay begins."""
        queued = self._order.started(call, now=now)
        self._began[call] = now, queued.level
        return queued

    def preempted(self, call: str, *, now: float) -> Queued:
        """A stay ends."""
        self.left(call, now=now)
        return self._order.preempted(call, now=now)

    def turn(self, *, now: float) -> Turn:
        """On another level it is another stay."""
        turn = self._order.turn(now=now)
        for queued in turn.demoted:
            self.left(queued.id, now=now)
            self._began[queued.id] = now, queued.level
        return turn

    def left(self, call: str, *, now: float) -> None:
        """The call is out of the batch."""
        began_s, level = self._began.pop(call)
        thread = self._threads[call]
        self._stretches.append(
            Stretch(
                program=thread.of.program.id,
                workload=thread.of.program.workload,
                call=thread.call.id,
                engine=self._engine,
                level=level,
                began_s=began_s,
                ended_s=now,
            )
        )
