"""Least attained service at the gateway.

What it does: a queue a program; whenever an engine has a free place, the program with the best score sends its oldest
call. The score is 0.8 times how little service the program had of late and 0.2 times how long its oldest call waits,
each against the most that any queued program has.

Inputs: tokens, ``in + 2 * out``, charged when a call is answered and halved every 60 s; no engine time.

Trade-offs: needs nothing of the engines and works with any. But what is inside an engine stays there (no preemption), a
running call's service is not seen before its end, and a program that only pauses is forgiven what it used.

Like llm-d-router's program-aware fairness plugin in its LAS strategy and with its default weights. Left out: its
per-replica state (here one gateway sees all), priority bands, and the saturation detector, in whose place a bound of as
many calls as the engines have places stands.
"""

from collections import deque

from autellix_bench.simulation.gates.gate import Pool
from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["LeastAttained"]

_MOST_HALVINGS = 256
"""After so many the common scale of services is set anew, long before floats end."""


class LeastAttained:
    """The gate.

    All services halve alike, so nothing is halved: a later charge counts for more instead, and only ratios are used.
    """

    def __init__(
        self, pool: Pool, *, half_life_s: float = 60.0, service_weight: float = 0.8, wait_weight: float = 0.2
    ) -> None:
        self._places = pool.slots
        self._half_life_s, self._service_weight, self._wait_weight = half_life_s, service_weight, wait_weight
        self._held: dict[str, deque[Thread]] = {}
        self._service: dict[str, float] = {}
        """Of each program that was answered, in tokens as of ``_scaled_at``."""
        self._scaled_at = 0.0

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came."""
        self._held.setdefault(thread.of.program.id, deque()).append(thread)

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The oldest call of the program with the best score, if there is a place."""
        if inside >= self._places or not self._held:
            return None
        service = self._service
        most = max(service.get(program, 0.0) for program in self._held) or 1.0
        longest_s = now - min(held[0].due_s for held in self._held.values()) or 1.0
        by_service, by_wait = self._service_weight / most, self._wait_weight / longest_s

        def penalty(program: str) -> tuple[float, int]:
            oldest = self._held[program][0]
            return by_service * service.get(program, 0.0) - by_wait * (now - oldest.due_s), oldest.serial

        best = min(self._held, key=penalty)
        held = self._held[best]
        thread = held.popleft()
        if not held:
            del self._held[best]
        return thread

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """Charge its tokens; a program that is over is forgotten."""
        program = thread.of.program.id
        if not thread.of.left:
            self._service.pop(program, None)
            return
        halvings = (now - self._scaled_at) / self._half_life_s
        if halvings > _MOST_HALVINGS:
            self._service = {name: tokens * 0.5**halvings for name, tokens in self._service.items()}
            self._scaled_at, halvings = now, 0.0
        tokens = report.prompt_tokens + 2 * report.output_tokens
        self._service[program] = self._service.get(program, 0.0) + tokens * 2.0**halvings
