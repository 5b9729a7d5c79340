"""What one HTTP call cost, whatever number of engine requests it was made of.

vLLM turns one call into several requests for ``n`` > 1, for several prompts and for beam search. Each is queued,
preempted and demoted on its own, but the program waits for the call as a whole. So a call's *service* is the time in
which at least one of its requests was in the batch, and its *wait* the time in which it had requests in the engine
but none in the batch: the two add up to its time in the engine. Tokens, preemptions, demotions and promotions are
sums over its requests. For a call of one request all this is just that request's own account.

vLLM's own per-request metrics cannot serve here: they count the wait after a preemption as generation.
"""

from dataclasses import dataclass

from autellix_core.levels import Queued
from autellix_core.wire import CallHeaders, Report

__all__ = ["Account"]


@dataclass(slots=True)
class Account:
    """The running account of one call. Times are seconds of the scheduler's clock."""

    headers: CallHeaders
    since: float
    """When the present interval began."""
    waiting: int = 0
    running: int = 0
    wait_s: float = 0.0
    service_s: float = 0.0
    level: int = 0
    """Of the request that moved last."""
    preemptions: int = 0
    demotions: int = 0
    promotions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    @property
    def open(self) -> bool:
        """Whether any of its requests is in the engine."""
        return self.waiting + self.running > 0

    def arrive(self, *, prompt_tokens: int, level: int, now: float) -> None:
        """A request of the call was queued."""
        self._close(now)
        self.waiting += 1
        self.level = level
        self.prompt_tokens += prompt_tokens

    def start(self, *, now: float) -> None:
        """A waiting request came into the batch."""
        self._close(now)
        self.waiting -= 1
        self.running += 1

    def put_back(self, *, now: float) -> None:
        """A running request was preempted."""
        self._close(now)
        self.running -= 1
        self.waiting += 1

    def leave(self, last: Queued, *, now: float) -> None:
        """A request ended; ``last`` is where it then was in the queues."""
        self._close(now)
        if last.running:
            self.running -= 1
        else:
            self.waiting -= 1
        self.level = last.level
        self.preemptions += last.preemptions
        self.demotions += last.demotions
        self.promotions += last.promotions

    def report(self, *present: Queued, now: float) -> Report:
        """The account up to ``now``, with what its requests that have not left (``present``) went through so far."""
        self._close(now)
        return Report(
            call=self.headers.call,
            service_s=self.service_s,
            wait_s=self.wait_s,
            level=present[-1].level if present else self.level,
            preemptions=self.preemptions + sum(each.preemptions for each in present),
            demotions=self.demotions + sum(each.demotions for each in present),
            promotions=self.promotions + sum(each.promotions for each in present),
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            output_tokens=self.output_tokens,
        )

    def _close(self, now: float) -> None:
        spent_s = max(0.0, now - self.since)
        self.since = now
        if self.running:
            self.service_s += spent_s
        elif self.waiting:
            self.wait_s += spent_s
