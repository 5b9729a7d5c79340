"""The interface of a gate."""

from dataclasses import dataclass
from typing import Protocol

from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["Gate", "Pool"]


@dataclass(frozen=True, slots=True)
class Pool:
    """The engines behind a gate, all together."""

    slots: int
    kv_tokens: int


class Gate(Protocol):
    """Holds calls and lets them go. ``inside``: calls that were let go and are not answered."""

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came."""

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The call to send now; None if those that are held must wait."""

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """A call that was let go is answered."""
