"""One iteration of an engine: who is in the batch, who leaves it for whom, and what is computed.

The order of calls, quanta, demotion, promotion and displacement are :class:`autellix_core.queues`'; what is modelled
here is the scheduler around them, after vLLM's: a token for each call that decodes, then prefill in chunks of what is
left of a budget of tokens, then newcomers as far as there are places and blocks.
"""

from collections.abc import Iterable
from itertools import islice

from autellix_bench.engine.costs import Load
from autellix_bench.engine.decoding import Decoding
from autellix_bench.engine.jobs import Job, Output
from autellix_bench.engine.memory import Live, Memory
from autellix_bench.engine.ordering import Order
from autellix_bench.engine.settings import EngineSettings
from autellix_core.batch import Room
from autellix_core.levels import Queued, measured
from autellix_core.priority import entry_service
from autellix_core.queues import Queues
from autellix_core.wire import Report

__all__ = ["Batching"]


class Batching:
    """The calls in one engine, and what an iteration does with them. When it ends is its caller's affair."""

    def __init__(self, settings: EngineSettings, queues: Order | None = None) -> None:
        self.settings = settings
        self.queues: Order = Queues(settings.levels) if queues is None else queues
        self.memory = Memory(settings)
        self.blocks = self.memory.blocks
        self.preemptions = 0
        self.recomputed_tokens = 0
        """Tokens computed again because a preempted call's blocks had gone to others."""
        self.swapped_tokens = 0
        """Tokens moved to the host's memory and back."""
        self.prompt_tokens = 0
        self.cached_tokens = 0
        self.output_tokens = 0
        self.iterations = 0
        self.decisions = 0
        """Times that the batch was looked over for someone to displace."""
        self._live: dict[str, Live] = {}
        self._decoding = Decoding(settings.block_tokens)
        self._prefilling: dict[str, Live] = {}
        self._batch: dict[str, int] = {}
        """Tokens that the iteration under way computes, by job that does not just decode."""
        self._load = Load()
        self._taken = False
        """Whether the calls that decode have their blocks for the iteration under way."""
        self._undecided = True
        """Whether anything changed since a decision that displaced nobody."""

    def _begin_iteration(self, now: float) -> set[str]:
        """Decide, and say what the iteration computes (``_load``). Returns the calls that had to leave."""
        self.iterations += 1
        self._load = load = Load()
        put_back: set[str] = set()
        self._undecided |= self.memory.expire(now=now)
        if self.iterations % self.settings.decide_every_steps == 0:
            self._turn(now)
            if self._may_decide():
                self._undecided = False
                self.decisions += 1
                self._displace(now, put_back)
        displaced = len(put_back)
        self._decode(now, put_back)
        left = self.settings.step_tokens - len(self._decoding)
        for job in self._best_first(self._prefilling):
            live = self._prefilling.get(job)
            if live is None:
                continue  # a better one needed its blocks
            count = min(live.tokens - live.computed, left)
            if count and self._make_room(job, live.computed + count, now, put_back):
                left -= self._compute(live, count)
        if len(put_back) == displaced:  # else blocks ran out, and a newcomer would take them from those who lost them
            self._admit(now, left, put_back)
        load.decodes += len(self._decoding)
        load.context_tokens += self._decoding.context_tokens
        self._undecided |= bool(self._batch)
        return put_back

    def _end_iteration(self, now: float) -> list[Output]:
        """The tokens of calls that did not just decode, and the last ones of those that did."""
        self._taken = False
        self._decoding.passed(1)
        self.output_tokens += len(self._decoding)
        outputs = [self._last_token(self._live[job], now) for job in self._decoding.ended()]
        batch, self._batch = self._batch, {}
        for job, count in batch.items():
            output = self._computed(self._live[job], count, now)
            if output is not None:
                outputs.append(output)
        return outputs

    def _decode(self, now: float, put_back: set[str]) -> None:
        """Blocks for all calls that get a further token."""
        decoding = self._decoding
        more = decoding.blocks()
        while more > self.blocks.free and self._give_up():
            pass
        if more <= self.blocks.free:
            self.blocks.take(more)
        else:
            for job in self._best_first(job for job in decoding if decoding.needs_block(job)):
                if job in decoding:
                    self.blocks.given(job, decoding.computed(job))
                    self._make_room(job, decoding.computed(job) + 1, now, put_back)
        self._taken = True

    def _compute(self, live: Live, count: int) -> int:
        """Put these tokens of a call that does not just decode into the iteration."""
        self._batch[live.job.id] = count
        self._load.context_tokens += live.computed + count
        if live.produced and count == 1:
            self._load.decodes += 1
        else:
            self._load.prefill_tokens += count
        return count

    def _computed(self, live: Live, count: int, now: float) -> Output | None:
        """They are computed: the call's next token, unless its prefill needs a further iteration."""
        job = live.job
        live.computed += count
        self.recomputed_tokens += max(0, min(live.computed, live.reached) - (live.computed - count))
        live.reached = max(live.reached, live.computed)
        self.blocks.keep(job.id, live.computed)
        if live.computed < live.tokens:
            return None
        live.produced += 1
        self.output_tokens += 1
        if live.produced == job.output_tokens:
            return Output(job.id, live.produced - 1, self._leave(live, now))
        del self._prefilling[job.id]
        self._decoding.join(job.id, live.computed, job.output_tokens - live.produced)
        return Output(job.id, live.produced - 1)

    def _last_token(self, live: Live, now: float) -> Output:
        report = self._leave(live, now)
        return Output(live.job.id, report.output_tokens - 1, report)

    def _make_room(self, job: str, tokens: int, now: float, put_back: set[str]) -> bool:
        """KV blocks for a running call; the worst running call gives its own, if need be this very one."""
        while not self.blocks.grow(job, tokens):
            if self._give_up():
                continue
            victim = next(self.queues.running)
            self._put_back(victim, now, put_back)
            if victim.id == job:
                return False
        return True

    def _admit(self, now: float, left: int, put_back: set[str]) -> None:
        slots = self._room().slots
        if slots < 1 or left < 1 or not self._waiting:
            return
        # A call does not leave and rejoin the batch in one iteration.
        for call in list(islice((call for call in self.queues.waiting if call.id not in put_back), slots)):
            live = self._live[call.id]
            self.memory.enter(live)
            count = min(live.tokens - live.computed, left)
            while not self.blocks.grow(call.id, live.computed + count):
                if self._running or not self._give_up():
                    self.blocks.release(call.id)
                    return
            if live.cached is None:
                live.cached = live.computed
                self.prompt_tokens += live.job.prompt_tokens
                self.cached_tokens += live.computed
            self.queues.started(call.id, now=now)
            self._prefilling[call.id] = live
            self._load.prefills_begun += not live.swapped
            self._swap(self.memory.admitted(live))
            left -= self._compute(live, count)
            if left < 1:
                return

    def _put_back(self, victim: Queued, now: float, put_back: set[str]) -> None:
        self.queues.preempted(victim.id, now=now)
        self._swap(self.memory.put_back(self._out_of_batch(victim.id)))
        put_back.add(victim.id)
        self.preemptions += 1
        self._undecided = True

    def _give_up(self) -> bool:
        """Take what is kept for a program that may come back; whether there was any."""
        gone = self.memory.give_up()
        self._undecided |= gone
        return gone

    def _swap(self, tokens: int) -> None:
        self._load.swapped_tokens += tokens
        self.swapped_tokens += tokens

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
        turn = self.queues.turn(now=now)
        self._undecided |= bool(turn.demoted or turn.promoted)

    def _may_decide(self) -> bool:
        return self._undecided and self._waiting > 0

    def _displace(self, now: float, put_back: set[str]) -> None:
        selection = self.queues.select(
            self._room(),
            needs=lambda call: self.blocks.needed(self._live[call.id].tokens),
            holds=lambda call: self.blocks.returned(self._caught_up(call.id).job.id),
            loses=lambda call: self._caught_up(call.id).computed,
            most_preemptions=self.settings.most_preemptions,
        )
        self._undecided |= bool(selection.admit)  # who would fit now may not, and need a victim, in the next iteration
        for victim in selection.preempt:
            self._put_back(victim, now, put_back)

    def _room(self) -> Room:
        return Room(slots=self.settings.slots - self._running, units=self.blocks.free)

    def _best_first(self, jobs: Iterable[str]) -> list[str]:
        """The budget, and what there is of blocks, goes to the best calls first."""
        calls = [self.queues[job] for job in jobs]
        calls.sort(key=lambda call: (call.level, call.enqueued_at, call.serial))
        return [call.id for call in calls]

    @property
    def _running(self) -> int:
        return len(self._decoding) + len(self._prefilling)

    @property
    def _waiting(self) -> int:
        return len(self._live) - self._running

    def _produced(self, job: str) -> int:
        return self._decoding.computed(job) - self._live[job].job.prompt_tokens + 1

    def _caught_up(self, job: str) -> Live:
        """The call as it is: of one that decodes, what was left implied until now."""
        live = self._live[job]
        if job in self._decoding:
            live.computed = live.reached = self._decoding.computed(job)
            live.produced = self._produced(job)
            self.blocks.given(job, live.computed + self._taken)
        return live

    def _out_of_batch(self, job: str) -> Live:
        live = self._caught_up(job)
        if job in self._decoding:
            self._decoding.leave(job)
            self.blocks.keep(job, live.computed)
        else:
            self._prefilling.pop(job, None)
            self._batch.pop(job, None)
        return live

    def _leave(self, live: Live, now: float) -> Report:
        last = self.queues.leave(live.job.id)
        self._out_of_batch(live.job.id)
        self.memory.leave(live, now=now, ended=live.produced == live.job.output_tokens)
        del self._live[live.job.id]
        self._undecided = True
        return self._report(live, last, now)

    def _report(self, live: Live, call: Queued, now: float) -> Report:
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
