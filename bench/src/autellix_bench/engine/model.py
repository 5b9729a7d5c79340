"""One engine as a state machine over time: iteration-level continuous batching under Algorithm 1.

The order of calls, quanta, demotion, promotion and who leaves the batch for whom are :class:`autellix_core.queues`',
the object that the vLLM adapter runs. What is modelled here is the engine around it, after vLLM's scheduler: a batch of
so many places, prefill in chunks of a budget of tokens, KV blocks with a prefix cache, preemption by recomputation.

:meth:`EngineModel.step` ends the iteration under way, decides, and begins the next one; what it returns says when to
call it again. Between two steps calls may be added and aborted.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import asdict, dataclass

from autellix_bench.engine.blocks import Blocks
from autellix_bench.engine.costs import Load
from autellix_bench.engine.jobs import Job, Outcome, Output
from autellix_bench.engine.settings import EngineSettings
from autellix_core.batch import Room
from autellix_core.levels import Queued, measured
from autellix_core.priority import entry_service
from autellix_core.queues import Queues
from autellix_core.wire import AbortedJSON, EngineStateJSON, Report

__all__ = ["VERSION", "EngineModel"]

VERSION = "autellix-engine-sim"
"""What the state names as the engine underneath."""


@dataclass(slots=True)
class _Live:
    """A job in the engine."""

    job: Job
    computed: int = 0
    """Tokens whose keys and values are in its blocks."""
    reached: int = 0
    """The most that ``computed`` ever was: what is computed again below it was lost by a preemption."""
    produced: int = 0
    cached: int | None = None
    """Prompt tokens found in the cache when it first ran."""

    @property
    def tokens(self) -> int:
        return self.job.prompt_tokens + self.produced

    def key(self, index: int) -> Hashable:
        keys = self.job.block_keys
        return keys[index] if index < len(keys) else (self.job.id, index)


class EngineModel:
    """One engine. ``now`` is seconds of whatever clock the caller keeps; it must never go back."""

    def __init__(self, settings: EngineSettings) -> None:
        self.settings = settings
        self.queues = Queues(settings.levels)
        self.blocks = Blocks(settings.blocks, settings.block_tokens)
        self.preemptions = 0
        self.recomputed_tokens = 0
        """Tokens computed again because a preempted call's blocks had gone to others."""
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.output_tokens = 0
        self._live: dict[str, _Live] = {}
        self._batch: dict[str, int] = {}
        """Tokens that the iteration under way computes, by job."""
        self._steps = 0
        self._aborted: OrderedDict[str, AbortedJSON] = OrderedDict()

    def __len__(self) -> int:
        return len(self._live)

    def add(self, job: Job, *, now: float) -> Queued:
        """Queue a call at its program's level.

        Raises ValueError if its id is here already, or if it could never fit.
        """
        if job.tokens > self.settings.longest_tokens or min(job.prompt_tokens, job.output_tokens) < 1:
            raise ValueError(
                f"A call has at least one token of prompt and of answer and at most {self.settings.longest_tokens} "
                f"together, not {job.prompt_tokens} and {job.output_tokens}."
            )
        queued = self._enter(job, now)
        self._live[job.id] = _Live(job)
        return queued

    def abort(self, job: str, *, now: float) -> Report | None:
        """Take a call out and keep its report. None if it is not here (any more)."""
        live = self._live.get(job)
        if live is None:
            return None
        report = self._leave(live, now)
        self._aborted[job] = {"program": live.job.headers.program, "report": asdict(report)}
        while len(self._aborted) > self.settings.aborted_reports:
            self._aborted.popitem(last=False)
        return report

    def step(self, now: float) -> Outcome:
        """End the iteration under way and begin the next."""
        outputs = self._end_iteration(now)
        load = self._begin_iteration(now)
        if not self._live:
            return Outcome(outputs, until=None)
        return Outcome(outputs, until=now + self.settings.costs.of(load))

    def state(self, *, now: float) -> EngineStateJSON:
        """What ``GET /autellix/state`` shows."""
        resident: dict[str, int] = {}
        running: list[dict[str, float | int | str]] = []
        for call in self.queues.running:
            live, held = self._live[call.id], self.blocks.held(call.id)
            program = live.job.headers.program
            resident[program] = resident.get(program, 0) + held
            running.append({**asdict(self._report(live, call, now)), "program": program, "blocks": held})
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

    # -- an iteration ------------------------------------------------------------------------------------------

    def _end_iteration(self, now: float) -> tuple[Output, ...]:
        outputs: list[Output] = []
        batch, self._batch = self._batch, {}
        for job, count in batch.items():
            live = self._live[job]
            full = live.computed // self.blocks.size
            live.computed += count
            self.recomputed_tokens += max(0, min(live.computed, live.reached) - (live.computed - count))
            live.reached = max(live.reached, live.computed)
            for index in range(full, live.computed // self.blocks.size):
                self.blocks.name(job, index, live.key(index))
            if live.computed < live.tokens:
                continue  # a prefill that needs a further step
            live.produced += 1
            self.output_tokens += 1
            last = live.produced == live.job.output_tokens
            outputs.append(Output(job, live.produced - 1, self._leave(live, now) if last else None))
        return tuple(outputs)

    def _begin_iteration(self, now: float) -> Load:
        self._steps += 1
        put_back: set[str] = set()
        if self._steps % self.settings.decide_every_steps == 0:
            self._turn(now)
            self._displace(now, put_back)
        displaced = len(put_back)
        load, left = Load(), self.settings.step_tokens
        for call in reversed(list(self.queues.running)):  # the budget goes to the best calls first
            if call.id in put_back:
                continue
            live = self._live[call.id]
            count = min(live.tokens - live.computed, left)
            if count and self._make_room(live, count, now, put_back):
                left -= self._compute(live, count, load)
        if len(put_back) == displaced:  # else blocks ran out, and a newcomer would take them from those who lost them
            self._admit(now, load, left, put_back)
        return load

    def _compute(self, live: _Live, count: int, load: Load) -> int:
        """Put these tokens into the iteration."""
        self._batch[live.job.id] = count
        load.context_tokens += live.computed + count
        if live.produced and count == 1:
            load.decodes += 1
        else:
            load.prefill_tokens += count
        return count

    def _make_room(self, live: _Live, count: int, now: float, put_back: set[str]) -> bool:
        """KV blocks for a running call; the worst running call gives its own, if need be this very one."""
        while not self.blocks.grow(live.job.id, live.computed + count):
            victim = next(self.queues.running)
            self._put_back(victim, now, put_back)
            if victim.id == live.job.id:
                return False
        return True

    def _admit(self, now: float, load: Load, left: int, put_back: set[str]) -> None:
        slots = self._room().slots
        for call in list(self.queues.waiting):
            if slots < 1 or left < 1:
                return
            if call.id in put_back:
                continue  # a call does not leave and rejoin the batch in one step
            live = self._live[call.id]
            keys = [live.key(index) for index in range((live.tokens - 1) // self.blocks.size)]
            found = self.blocks.cached(keys)
            self.blocks.hold(call.id, keys[:found])
            live.computed = found * self.blocks.size
            count = min(live.tokens - live.computed, left)
            if not self.blocks.grow(call.id, live.computed + count):
                self.blocks.release(call.id)
                return
            if live.cached is None:
                live.cached = live.computed
                self.prompt_tokens += live.job.prompt_tokens
                self.cached_tokens += live.computed
            self.queues.started(call.id, now=now)
            load.prefills_begun += 1
            left -= self._compute(live, count, load)
            slots -= 1

    # -- the rules, all of them autellix_core's ----------------------------------------------------------------

    def _enter(self, job: Job, now: float) -> Queued:
        headers = job.headers
        return self.queues.enter(
            job.id,
            entry_service(headers.policy, critical_path_s=headers.service_s, service_s=headers.service_s),
            now=now,
            policy=headers.policy,
            program_wait_s=headers.program_wait_s,
            program_service_s=headers.program_service_s,
        )

    def _turn(self, now: float) -> None:
        self.queues.turn(now=now)

    def _displace(self, now: float, put_back: set[str]) -> None:
        selection = self.queues.select(
            self._room(),
            needs=lambda call: self.blocks.needed(self._live[call.id].tokens),
            holds=lambda call: self.blocks.returned(call.id),
            loses=lambda call: self._live[call.id].computed,
            most_preemptions=self.settings.most_preemptions,
        )
        for victim in selection.preempt:
            self._put_back(victim, now, put_back)

    def _put_back(self, victim: Queued, now: float, put_back: set[str]) -> None:
        self.queues.preempted(victim.id, now=now)
        self.blocks.release(victim.id)
        self._live[victim.id].computed = 0
        self._batch.pop(victim.id, None)
        put_back.add(victim.id)
        self.preemptions += 1

    def _room(self) -> Room:
        running = sum(runs for _, runs in self.queues.lengths())
        return Room(slots=self.settings.slots - running, units=self.blocks.free)

    # -- accounts ----------------------------------------------------------------------------------------------

    def _leave(self, live: _Live, now: float) -> Report:
        last = self.queues.leave(live.job.id)
        self.blocks.release(live.job.id)
        self._batch.pop(live.job.id, None)
        del self._live[live.job.id]
        return self._report(live, last, now)

    def _report(self, live: _Live, call: Queued, now: float) -> Report:
        service_s, wait_s = measured(call, now=now)
        return Report(
            call=live.job.headers.call,
            service_s=service_s,
            wait_s=wait_s,
            level=call.level,
            preemptions=call.preemptions,
            demotions=call.demotions,
            promotions=call.promotions,
            prompt_tokens=live.job.prompt_tokens,
            cached_tokens=live.cached or 0,
            output_tokens=live.produced,
        )
