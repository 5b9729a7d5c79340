"""Algorithm 1 inside vLLM's scheduler: the only module that knows it.

:func:`program_scheduler` is what ``--scheduler-cls`` names. vLLM keeps doing what it does well (token budget, KV
blocks, chunked prefill, resumption from the prefix cache); this mixin tells it the order and what to preempt:

- a request's ``priority`` is its level and its ``arrival_time`` its place in it, so that the heap of waiting
  requests (:mod:`autellix_engine.waiting`) and vLLM's own choice of a victim under KV pressure follow Algorithm 1;
- where the batch is full of worse calls, victims are put back before vLLM fills the batch (stock vLLM preempts only
  for want of KV blocks, never because a better call waits);
- every passage into and out of the batch is accounted, and the account leaves with the call's output.

Nothing here may break the engine: an exception in our own code is counted, logged once, and that step is vLLM's own.
What cannot work at all is refused before the engine starts (:mod:`autellix_engine.features`, ``versions``).
"""

import logging
import os
import time
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from autellix_core.batch import Room, Selection
from autellix_core.levels import Queued
from autellix_core.wire import EngineStateJSON
from autellix_engine import versions
from autellix_engine.blocks import Blocks
from autellix_engine.carrier import SNAPSHOT
from autellix_engine.counts import Cause
from autellix_engine.features import EngineRefused, Features, refusals
from autellix_engine.guards import Guards
from autellix_engine.ledger import Ledger
from autellix_engine.lifetime import end_with_parent
from autellix_engine.readiness import adapter_fits, can_leave, can_run
from autellix_engine.settings import Settings
from autellix_engine.waiting import WaitingRequests

if TYPE_CHECKING:
    from vllm.v1.core.sched.scheduler import Scheduler
else:
    Scheduler = object

__all__ = ["ProgramScheduling", "program_scheduler"]

_RETRY_AFTER_DECISIONS = 64
"""How long a call that was not admitted after all causes no further preemption. One step suffices where the token
budget was spent; a call that vLLM cannot admit for another reason must not preempt at every step."""

_PLACE = attrgetter("priority", "arrival_time")

_NOBODY = Selection(admit=(), preempt=())

logger = logging.getLogger(__name__)


def program_scheduler(*args: Any, **kwargs: Any) -> Any:
    """Build the scheduler over the base that vLLM would have taken: sync, or async where it runs steps ahead.

    vLLM calls this in the engine process, so what belongs to that process is set up here too. Raises
    :class:`EngineRefused` for a configuration or a version that the adapter does not work with.
    """
    import vllm
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.engine.core import EngineCore

    config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
    why = refusals(Features.of(config, os.environ))
    if why:
        raise EngineRefused(" ".join(why))
    base = AsyncScheduler if config.scheduler_config.async_scheduling else Scheduler
    # The engine process answers calls by method name; this one returns what GET /autellix/state shows.
    setattr(EngineCore, SNAPSHOT, lambda core: core.scheduler.autellix_state())
    end_with_parent()
    kind = type(f"Program{base.__name__}", (ProgramScheduling, base), {})
    scheduler: Any = kind(*args, version=vllm.__version__, **kwargs)
    scheduler.waiting = WaitingRequests()  # vLLM's own takes milliseconds to remove one of thousands
    return scheduler


class ProgramScheduling(Scheduler):  # type: ignore[misc] # vLLM has no types where this is checked
    """A mixin over vLLM's ``Scheduler`` or ``AsyncScheduler``."""

    def __init__(self, *args: Any, clock: Callable[[], float] | None = None, version: str = "", **kwargs: Any) -> None:
        config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
        self._settings = Settings.from_config(config.additional_config)
        self._cause = Cause.CACHE_RESET
        """Of a preemption that comes now."""
        # Order by (priority, arrival_time) wherever vLLM itself chooses, in place of first come, first served.
        config.scheduler_config.policy = "priority"
        super().__init__(*args, **kwargs)
        self._check(version)
        self._clock = clock or _wall_anchored(time.time() - time.monotonic())
        self._ledger = Ledger(self._settings, version=version, slots=self._slots())
        self._queues = self._ledger.queues
        self._counts = self._ledger.counts
        self._blocks = Blocks(
            self.kv_cache_manager,
            block_size=self.block_size,
            hits_known=len(self.kv_cache_config.kv_cache_groups) == 1
            and getattr(self, "hash_block_size", self.block_size) == self.block_size,
        )
        self._in_vain: dict[str, int] = {}
        """Calls for which victims were put back and that were not admitted, by the decision that may retry."""
        self._decisions = 0
        self._steps = 0
        guard = Guards(self._counts, self._forget_the_gone)
        self._queueing, self._deciding = guard("queueing a call"), guard("deciding")
        self._noting_batch, self._noting_preemption = guard("noting the batch"), guard("noting a preemption")
        self._noting_abort, self._reporting = guard("noting an abort"), guard("reporting")
        self._in_order = False
        """Nobody came into the batch since it was last sorted."""

    def _check(self, version: str) -> None:
        lacking = (
            *versions.missing(type(self), versions.METHOD_NAMES),
            *versions.missing(self, versions.INSTANCE_NAMES),
        )
        refused = versions.refusal(version, lacking)
        if refused is not None:
            raise EngineRefused(refused)
        untested = versions.warning(version)
        if untested is not None:
            logger.warning(untested)

    def add_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """A call's request enters at its program's level (Algorithm 1, entry)."""
        with self._queueing:
            if request.request_id not in self.requests:  # else a further part of a streamed input
                self._place(request, self._ledger.enter(request, now=self._clock()))
        super().add_request(request, *args, **kwargs)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """One step: decide, let vLLM fill the batch, note who came into it."""
        parked: list[Any] = []
        selection: Selection | None = None
        with self._deciding:
            self._steps += 1
            if self._steps % self._settings.decide_every_steps == 0:
                began_s = time.perf_counter()
                selection = self._decide(parked)
                self._counts.decided(time.perf_counter() - began_s)
        self._cause = Cause.KV_PRESSURE
        try:
            output = super().schedule(*args, **kwargs)
        finally:
            self._cause = Cause.CACHE_RESET
            # Kept out of the queue meanwhile: a request cannot leave and rejoin the batch in one step.
            for request in parked:
                self.waiting.add_request(request)
        with self._noting_batch:
            now = self._clock()
            back = output.scheduled_cached_reqs
            self._in_order = self._in_order and not (output.scheduled_new_reqs or back.resumed_req_ids)
            for data in output.scheduled_new_reqs:  # among them, for vLLM's second model runner, those that resume
                self._ledger.started(data.req_id, now=now, cached_tokens=data.num_computed_tokens)
            if back.resumed_req_ids:
                for request_id, computed in zip(back.req_ids, back.num_computed_tokens, strict=True):
                    if request_id in back.resumed_req_ids:
                        self._ledger.started(request_id, now=now, cached_tokens=computed)
            if selection is not None and selection.preempt:
                self._note_in_vain(selection)
        return output

    def update_from_output(self, *args: Any, **kwargs: Any) -> Any:
        """Attach the report to each output that ends a call, or that may turn out to."""
        outputs = super().update_from_output(*args, **kwargs)
        with self._reporting:
            now = self._clock()
            for each in outputs.values():
                self._ledger.produced(each.outputs, now=now)
        return outputs

    def finish_requests(self, *args: Any, **kwargs: Any) -> Any:
        """The client left, a stop string was found, or vLLM gave the request up: keep the report for whoever asks."""
        finished = super().finish_requests(*args, **kwargs)
        with self._noting_abort:
            now = self._clock()
            for request in finished:
                self._ledger.aborted(request.request_id, now=now)
        return finished

    def _preempt_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Put back, by us or by vLLM for want of KV blocks."""
        with self._noting_preemption:
            computed = request.num_computed_tokens
            self._ledger.preempted(request.request_id, self._cause, computed_tokens=computed, now=self._clock())
        super()._preempt_request(request, *args, **kwargs)

    def autellix_state(self) -> EngineStateJSON:
        """What ``GET /autellix/state`` shows; called in the engine process between two steps."""
        return self._ledger.state(
            holds=lambda call: self._blocks.held(call.id), kv_usage=self._blocks.usage, now=self._clock()
        )

    def _decide(self, parked: list[Any]) -> Selection:
        """Demote and promote what time made due, then make room for better calls. Victims go to ``parked``."""
        self._decisions += 1
        now = self._clock()
        turn = self._queues.turn(now=now)
        if turn.demoted or turn.promoted:
            self._counts.turned(demoted=len(turn.demoted), promoted=len(turn.promoted))
            for call in turn.demoted:
                self._place(self._ledger.request(call), call)
            for call in turn.promoted:
                self._reorder(self._ledger.request(call), call)
        selection = _NOBODY
        # Paused, vLLM admits nobody, so nobody need make room.
        if self._queues.contested and self.pause_state.name == "UNPAUSED":
            selection = self._select()
            for call in selection.preempt:
                self._put_back(self._ledger.request(call), parked)
        if not self._in_order or turn.demoted:
            # The token budget of a step goes to the best calls first, not to those that have run longest.
            self.running.sort(key=_PLACE)
            self._in_order = True
        return selection

    def _select(self) -> Selection:
        free = self._slots() - len(self.running) - self.num_waiting_for_streaming_input
        return self._queues.select(
            Room(slots=free, units=self._blocks.free),
            needs=lambda call: self._blocks.needed(self._ledger.request(call)),
            holds=lambda call: self._blocks.returned(call.id),
            loses=self._loses,
            most_preemptions=self._settings.most_preemptions,
            may_run=self._may_run,
            may_leave=self._may_leave,
        )

    def _slots(self) -> int:
        """Calls that the batch holds. Up to vLLM 0.30 that was the model runner's own limit."""
        newer = hasattr(self, "max_num_active_reqs")
        slots: int = self.max_num_active_reqs if newer else self.max_num_running_reqs
        return slots

    def _put_back(self, victim: Any, parked: list[Any]) -> None:
        self.running.remove(victim)
        self._cause = Cause.BETTER_CALL
        self._preempt_request(victim, time.monotonic())
        # The model runner must not take the request for one that it still holds from the last step.
        self.prev_step_scheduled_req_ids.discard(victim.request_id)
        self.waiting.remove_request(victim)
        parked.append(victim)

    def _loses(self, call: Queued) -> int:
        """Tokens to compute again should all of the call's blocks be reallocated while it waits."""
        tokens: int = self._ledger.request(call).num_computed_tokens
        return tokens

    def _may_run(self, call: Queued) -> bool:
        if self._in_vain.get(call.id, -1) >= self._decisions:
            return False
        request = self._ledger.request(call)
        adapters = None if self.lora_config is None else self.lora_config.max_loras
        return can_run(request, self.finished_recving_kv_req_ids) and adapter_fits(request, self.running, adapters)

    def _may_leave(self, call: Queued) -> bool:
        # With a KV connector vLLM hands blocks that a step under way may still write back a step later, of itself.
        return can_leave(self._ledger.request(call))

    def _note_in_vain(self, selection: Selection) -> None:
        self._in_vain = {call: until for call, until in self._in_vain.items() if until > self._decisions}
        for call in selection.admit:
            if call.id in self._queues and not self._queues[call.id].running:
                self._in_vain[call.id] = self._decisions + _RETRY_AFTER_DECISIONS

    @staticmethod
    def _place(request: Any, call: Queued) -> None:
        request.priority = call.level
        request.arrival_time = call.enqueued_at

    def _reorder(self, request: Any, call: Queued) -> None:
        """Change the place of a waiting request; it must be out of its heap meanwhile."""
        # vLLM keeps some of those that wait in a second queue, which up to 0.30 had another name.
        names = ("waiting", "kv_holding_waiting", "skipped_waiting")
        for queue in [getattr(self, name) for name in names if hasattr(self, name)]:
            try:
                queue.remove_request(request)
            except ValueError:
                continue
            try:
                self._place(request, call)
            finally:
                queue.add_request(request)
            return
        self._place(request, call)

    def _forget_the_gone(self) -> None:
        """An end that went unnoticed would fail every decision from now on."""
        self._ledger.keep_only(self.requests, now=self._clock())


def _wall_anchored(offset_s: float) -> Callable[[], float]:
    """A monotonic clock that began as wall-clock time, which vLLM stamps requests with that we did not enter."""
    return lambda: time.monotonic() + offset_s
