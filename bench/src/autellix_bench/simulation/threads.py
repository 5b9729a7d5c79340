"""Programs under way: which call is due when. A thread is a call that was sent and not yet answered."""

from collections.abc import Iterator
from dataclasses import dataclass

from autellix_bench.programs import Call, Program

__all__ = ["Progress", "Thread"]


class Progress:
    """How far a program is: calls are due in causal order."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.left = len(program.calls)
        """Calls not yet answered."""
        self._missing = {call.id: len(call.parents) for call in program.calls}
        self._children: dict[str, list[Call]] = {}
        for call in program.calls:
            for parent in call.parents:
                self._children.setdefault(parent, []).append(call)

    def roots(self) -> Iterator[tuple[Call, float]]:
        """The calls that wait for no other, and when each is due."""
        arrival_s = self.program.arrival_s
        return ((call, arrival_s + call.gap_s) for call in self.program.calls if not call.parents)

    def answered(self, call: Call, *, now: float) -> Iterator[tuple[Call, float]]:
        """The calls that waited for this one last, and when each is due."""
        self.left -= 1
        for child in self._children.get(call.id, ()):
            self._missing[child.id] -= 1
            if not self._missing[child.id]:
                yield child, now + child.gap_s


@dataclass(eq=False, slots=True)
class Thread:
    """A call under way."""

    id: str
    of: Progress
    call: Call
    due_s: float
    serial: int
    """In the order in which calls came."""
    engine: str | None = None
    first_token_s: float | None = None
