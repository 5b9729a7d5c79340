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
from dataclasses import dataclass

from autellix_bench.simulation.gates.gate import Pool
from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["LeastAttained"]


@dataclass(slots=True)
class _Service:
    tokens: float
    at: float


class LeastAttained:
    """The gate."""

    def __init__(
        self, pool: Pool, *, half_life_s: float = 60.0, service_weight: float = 0.8, wait_weight: float = 0.2
    ) -> None:
        self._places = pool.slots
        self._half_life_s, self._service_weight, self._wait_weight = half_life_s, service_weight, wait_weight
        self._held: dict[str, deque[Thread]] = {}
        self._service: dict[str, _Service] = {}

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came."""
        self._held.setdefault(thread.of.program.id, deque()).append(thread)

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The oldest call of the program with the best score, if there is a place."""
        if inside >= self._places or not self._held:
            return None
        services = {program: self._attained(program, now) for program in self._held}
        most = max(services.values()) or 1.0
        longest_s = max(now - held[0].due_s for held in self._held.values()) or 1.0

        def score(program: str) -> tuple[float, int]:
            oldest = self._held[program][0]
            service = 1.0 - services[program] / most
            wait = (now - oldest.due_s) / longest_s
            return self._service_weight * service + self._wait_weight * wait, -oldest.serial

        best = max(self._held, key=score)
        held = self._held[best]
        thread = held.popleft()
        if not held:
            del self._held[best]
        return thread

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """Charge its tokens; a program that is over is forgotten."""
        program = thread.of.program.id
        tokens = self._attained(program, now) + report.prompt_tokens + 2 * report.output_tokens
        self._service[program] = _Service(tokens, now)
        if not thread.of.left:
            del self._service[program]

    def _attained(self, program: str, now: float) -> float:
        service = self._service.get(program)
        return service.tokens * 0.5 ** ((now - service.at) / self._half_life_s) if service else 0.0
