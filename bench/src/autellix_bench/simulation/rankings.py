"""Orders inside an engine that are not Algorithm 1's: one number a call, see :class:`autellix_bench.engine.Ranked`."""

from typing import Protocol

from autellix_bench.engine import EngineSettings
from autellix_bench.programs import Program
from autellix_bench.simulation.threads import Thread

__all__ = ["FirstProgramFirst", "Ranking", "RemainingWork"]


class Ranking(Protocol):
    """Gives each call its number, in seconds, as it is sent: the smaller goes first."""

    def rank(self, thread: Thread) -> float:
        """The number of this call."""

    def answered(self, thread: Thread) -> None:
        """The call was answered."""


class FirstProgramFirst:
    """By the program's arrival.

    What it does: all calls of an earlier program go before those of a later one. Inputs: when programs arrived.
    Trade-off: no program is put off by a later one, so the tail is short; a long one blocks all behind it. Like
    Continuum (arXiv 2511.02230), whose other half, keeping KV blocks during tool calls, is the job's ``retain_s``.
    """

    def rank(self, thread: Thread) -> float:
        """When the program arrived."""
        return thread.of.program.arrival_s

    def answered(self, thread: Thread) -> None:
        """Nothing changes."""


class RemainingWork:
    """By the work that its program still needs: shortest remaining processing time.

    What it does: sums the engine time of a program's calls that are not answered yet. Inputs: the whole program, which
    no real system knows. Trade-off: none, it is the bound to compare with; but a call keeps the number that it was
    sent with, and an engine's time is reckoned at a full batch. So it is no proven optimum of any batch.
    """

    def __init__(self, settings: EngineSettings) -> None:
        self._prefill_token_s = settings.costs.prefill_token_s
        self._output_token_s = settings.costs.step_s / settings.slots + settings.costs.decode_s
        self._work_s: dict[str, dict[str, float]] = {}
        self._left_s: dict[str, float] = {}

    def rank(self, thread: Thread) -> float:
        """What the program needs, this call included."""
        program = thread.of.program
        if program.id not in self._left_s:
            self._work_s[program.id] = work_s = self._work(program)
            self._left_s[program.id] = sum(work_s.values())
        return max(0.0, self._left_s[program.id])

    def answered(self, thread: Thread) -> None:
        """Its work is done."""
        program = thread.of.program.id
        self._left_s[program] -= self._work_s[program].pop(thread.call.id)
        if not self._work_s[program]:
            del self._work_s[program], self._left_s[program]

    def _work(self, program: Program) -> dict[str, float]:
        """Of each call. A part of a prompt that an earlier call of the program had needs no prefill."""
        known: set[str] = set()
        work_s: dict[str, float] = {}
        for call in program.calls:
            new = sum(part.tokens for part in call.prompt if not part.answer and part.key not in known)
            known.update(part.key for part in call.prompt)
            work_s[call.id] = new * self._prefill_token_s + call.output_tokens * self._output_token_s
        return work_s
