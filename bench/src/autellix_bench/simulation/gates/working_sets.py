"""Programs are admitted while their working sets fit into the KV cache.

What it does: calls of an admitted program pass; others wait. Where the admitted programs' tokens exceed 0.95 of the KV
cache, programs between two calls are paused, smallest first, until they do not. Those that wait, paused or new, are
admitted smallest first while all fit into 0.80.

Inputs: a program's working set, that is the tokens of its latest call, prompt and answer; the size of the KV cache.

Trade-offs: caches do not thrash, so little is computed twice, and places may stay empty for it. Long programs wait as
long as shorter ones come.

Like ThunderAgent (arXiv 2602.13692; the thresholds are those of its router in Dynamo). Left out: its placement (here
Algorithm 2's), demotion between the thresholds, the lease of silent programs, and the management of tools' resources.
"""

import heapq
from collections import deque

from autellix_bench.simulation.gates.gate import Pool
from autellix_bench.simulation.threads import Thread
from autellix_core.wire import Report

__all__ = ["WorkingSets"]


class WorkingSets:
    """The gate."""

    def __init__(self, pool: Pool, *, pause_above: float = 0.95, admit_below: float = 0.80) -> None:
        self._pause_above = pause_above * pool.kv_tokens
        self._admit_below = admit_below * pool.kv_tokens
        self._tokens: dict[str, int] = {}
        """The working set of each admitted program."""
        self._total = 0
        self._active: dict[str, int] = {}
        """Calls of admitted programs that are not answered."""
        self._ready: deque[Thread] = deque()
        self._held: dict[str, deque[Thread]] = {}
        self._smallest: list[tuple[int, int, str]] = []

    def hold(self, thread: Thread, *, now: float) -> None:
        """A call came: it is let go if its program is admitted."""
        program = thread.of.program.id
        if program in self._tokens:
            self._pass(thread)
            return
        held = self._held.setdefault(program, deque())
        if not held:
            heapq.heappush(self._smallest, (thread.call.prompt_tokens, thread.serial, program))
        held.append(thread)

    def let_go(self, *, now: float, inside: int) -> Thread | None:
        """The next call of an admitted program; if there is none, admit the smallest program that fits."""
        if not self._ready and self._smallest:
            tokens, _, program = self._smallest[0]
            if self._total + tokens <= self._admit_below or not self._tokens:
                heapq.heappop(self._smallest)
                self._set(program, tokens)
                for thread in self._held.pop(program):
                    self._pass(thread)
        return self._ready.popleft() if self._ready else None

    def answered(self, thread: Thread, report: Report, *, now: float) -> None:
        """Its program's working set is what this call had; where that is too much, others are paused."""
        program = thread.of.program.id
        self._active[program] -= 1
        if not thread.of.left:
            self._forget(program)
            return
        self._set(program, report.prompt_tokens + report.output_tokens)
        if self._total > self._pause_above:
            idle = sorted((tokens, name) for name, tokens in self._tokens.items() if not self._active[name])
            for _, name in idle:
                self._forget(name)
                if self._total <= self._pause_above:
                    return

    def _pass(self, thread: Thread) -> None:
        program = thread.of.program.id
        self._active[program] = self._active.get(program, 0) + 1
        self._set(program, max(self._tokens[program], thread.call.prompt_tokens))
        self._ready.append(thread)

    def _set(self, program: str, tokens: int) -> None:
        self._total += tokens - self._tokens.get(program, 0)
        self._tokens[program] = tokens

    def _forget(self, program: str) -> None:
        self._total -= self._tokens.pop(program)
        del self._active[program]
