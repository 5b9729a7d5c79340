"""One engine as a state machine over time: iteration-level continuous batching under Algorithm 1.

The order of calls, quanta, demotion, promotion and who leaves the batch for whom are :class:`autellix_core.queues`',
the object that the vLLM adapter runs. What is modelled here is the engine around it, after vLLM's scheduler: a batch of
so many places, a token for each call that decodes and then prefill in chunks of what is left of a budget of tokens, KV
blocks with a prefix cache, preemption by recomputation or by swapping.

Time passes in iterations. :meth:`EngineModel.step` ends the one under way and begins the next, for a caller that wants
every token. :meth:`EngineModel.begin` begins as many at once as nothing can change in, for one that wants to be quick;
what comes of it is the same to the last bit. Between the two calls may be added and aborted.
"""

from bisect import bisect_left
from collections import OrderedDict

from autellix_bench.engine.batching import Batching
from autellix_bench.engine.costs import Load
from autellix_bench.engine.jobs import Job, Outcome, Output
from autellix_bench.engine.memory import Live
from autellix_bench.engine.ordering import Order
from autellix_bench.engine.settings import EngineSettings
from autellix_core.levels import Queued
from autellix_core.wire import AbortedJSON, EngineStateJSON, Report

__all__ = ["VERSION", "EngineModel"]

VERSION = "autellix-engine-sim"
"""What the state names as the engine underneath."""

_LONGEST_STRETCH = 256
"""Iterations begun at once: an arrival in between makes the rest of them in vain."""


class EngineModel(Batching):
    """One engine. ``now`` is seconds of whatever clock the caller keeps; it must never go back.

    ``queues``: an order to compare Algorithm 1 with, in place of the settings' levels.
    """

    def __init__(self, settings: EngineSettings, queues: Order | None = None) -> None:
        super().__init__(settings, queues)
        self._ends: list[float] = []
        """When the iteration under way ends, and those that were begun with it."""
        self._aborted: OrderedDict[str, AbortedJSON] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    @property
    def until(self) -> float | None:
        """When what was begun ends: call :meth:`end` then. None: nothing is under way."""
        return self._ends[-1] if self._ends else None

    def add(self, job: Job, *, now: float) -> Queued:
        """Queue a call at its program's level.

        Raises ValueError if its id is here already, or if it could never fit.
        """
        if job.tokens > self.settings.longest_tokens or min(job.prompt_tokens, job.output_tokens) < 1:
            raise ValueError(
                f"A call has at least one token of prompt and of answer and at most {self.settings.longest_tokens} "
                f"together, not {job.prompt_tokens} and {job.output_tokens}."
            )
        self._interrupt(now)
        queued = self._enter(job, now)
        self._live[job.id] = Live(job)
        self._undecided = True
        return queued

    def abort(self, job: str, *, now: float) -> Report | None:
        """Take a call out and keep its report. None if it is not here (any more)."""
        live = self._live.get(job)
        if live is None:
            return None
        self._interrupt(now)
        report = self._leave(live, now)
        self._aborted[job] = {"program": live.job.headers.program, "report": report.to_mapping()}
        while len(self._aborted) > self.settings.aborted_reports:
            self._aborted.popitem(last=False)
        return report

    def step(self, now: float) -> Outcome:
        """End the iteration under way and begin the next; every token comes out."""
        decoded = [(job, self._produced(job)) for job in self._decoding] if self._ends else []
        outputs = self.end(now)
        ended = {output.job for output in outputs}
        tokens = (Output(job, index) for job, index in decoded if job not in ended)
        return Outcome((*tokens, *outputs), until=self.begin(now, most=1))

    def end(self, now: float) -> tuple[Output, ...]:
        """End what was begun. The first and the last token of each call come out, and those that end a preemption; the
        others are implied."""
        if not self._ends:
            return ()
        self._pass(len(self._ends) - 1)
        self._ends.clear()
        return tuple(self._end_iteration(now))

    def begin(self, now: float, *, most: int = _LONGEST_STRETCH) -> float | None:
        """Begin an iteration, and with it those after it in which nothing can change, at most so many.

        Returns :attr:`until`, which an arrival makes earlier: then it is the end of the iteration under way.
        """
        if not self._live:
            return None
        put_back = self._begin_iteration(now)
        self._ends = [now + self.settings.costs.of(self._load)]
        if most > 1 and not put_back and not self._batch and not self._may_decide():
            self._begin_more(most)
        return self.until

    def state(self, *, now: float) -> EngineStateJSON:
        """What ``GET /autellix/state`` shows."""
        self._interrupt(now)
        resident: dict[str, int] = {}
        running: list[dict[str, float | int | str]] = []
        for call in self.queues.running:
            live, held = self._caught_up(call.id), self.blocks.held(call.id)
            program = live.job.headers.program
            resident[program] = resident.get(program, 0) + held
            running.append({**self._report(live, call, now).to_mapping(), "program": program, "blocks": held})
        lengths = self.queues.lengths()
        return {
            "version": VERSION,
            "policy": self.settings.policy.value,
            "slots": self.settings.slots,
            "bounds_s": list(self.settings.levels.bounds_s),
            "quanta_s": self.settings.quanta_s,
            "beta": self.settings.levels.beta,
            "levels": [{"waiting": waits, "running": runs} for waits, runs in lengths],
            "running": running,
            "waiting": sum(waits for waits, _ in lengths),
            "resident_blocks": resident,
            "kv_usage": self.kv_usage,
            "aborted": list(self._aborted.values()),
        }

    @property
    def kv_usage(self) -> float:
        """The share of blocks that calls hold."""
        return 1 - self.blocks.free / self.blocks.count

    def _begin_more(self, most: int) -> None:
        """The iterations after the one that was just begun, as long as there is nothing in them but decoding."""
        costs, calls = self.settings.costs, len(self._decoding)
        before_context_s = costs.of(Load(decodes=calls))
        context, free = self._decoding.context_tokens, self.blocks.free
        until = self._ends[0]
        due = min(self.queues.due, self.memory.retained_until)
        for ahead in range(1, min(most, self._decoding.left())):
            free -= self._decoding.blocks(ahead)
            if until >= due or free < 0:
                return
            context += calls
            until += before_context_s + costs.context_token_s * context
            self._ends.append(until)

    def _pass(self, iterations: int) -> None:
        """So many of those that were begun have ended, and the next one is under way."""
        if iterations:
            more = sum(self._decoding.blocks(ahead) for ahead in range(1, iterations + 1))
            self._decoding.passed(iterations)
            self.blocks.take(more)
            self.iterations += iterations
            self.output_tokens += iterations * len(self._decoding)
            del self._ends[:iterations]

    def _interrupt(self, now: float) -> None:
        """Let nothing be begun beyond the iteration that is under way now."""
        self._pass(min(bisect_left(self._ends, now), max(0, len(self._ends) - 1)))
        del self._ends[1:]
