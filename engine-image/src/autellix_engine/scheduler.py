"""Algorithm 1 inside vLLM's scheduler: the only module that knows it.

:func:`program_scheduler` is what ``--scheduler-cls`` names. vLLM keeps doing what it does well (token budget, KV blocks,
chunked prefill, resumption from the prefix cache); this mixin tells it the order and what to preempt:

- a request's ``priority`` is its level and its ``arrival_time`` its place in it, so that vLLM's own heap of waiting
  requests and its own choice of a victim under KV pressure follow Algorithm 1;
- where the batch is full of worse calls, victims are put back before vLLM fills the batch (stock vLLM preempts only
  for want of KV blocks, never because a better call waits);
- every passage into and out of the batch is accounted, and the account leaves with the call's output.

Checked against vLLM 0.32. Nothing here may break the engine: an exception in our own code is logged once and that
step is vLLM's own.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from autellix_core.batch import Room, Selection
from autellix_core.levels import Queued
from autellix_core.priority import entry_service
from autellix_core.queues import Queues
from autellix_core.wire import AbortedJSON, EngineStateJSON

from autellix_engine.accounts import Account
from autellix_engine.carrier import SNAPSHOT, carried, pack_report
from autellix_engine.settings import Settings

if TYPE_CHECKING:
    from vllm.v1.core.sched.scheduler import Scheduler
else:
    Scheduler = object

__all__ = ["ProgramScheduling", "program_scheduler"]

_RETRY_AFTER_DECISIONS = 64
"""How long a call that was not admitted after all causes no further preemption. One step suffices where the token
budget was spent; a call that vLLM cannot admit for another reason must not preempt at every step."""
_MOST_EXCHANGES = 4096
"""Accounts kept of calls that have no request in the engine: a beam search sends the next ones shortly after."""

logger = logging.getLogger(__name__)


def program_scheduler(*args: Any, **kwargs: Any) -> Any:
    """Build the scheduler over the base that vLLM would have taken: sync, or async where it runs steps ahead."""
    from vllm.v1.core.sched.async_scheduler import AsyncScheduler
    from vllm.v1.core.sched.scheduler import Scheduler
    from vllm.v1.engine.core import EngineCore

    config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
    base = AsyncScheduler if config.scheduler_config.async_scheduling else Scheduler
    # The engine process answers calls by method name; this one returns what GET /autellix/state shows.
    setattr(EngineCore, SNAPSHOT, lambda core: core.scheduler.autellix_state())
    return type(f"Program{base.__name__}", (ProgramScheduling, base), {})(*args, **kwargs)


@dataclass(slots=True)
class _Known:
    """A request of vLLM's and the call that it belongs to."""

    request: Any
    account: Account
    exchange: str
    counted: bool = False
    """Its cached prompt tokens are in the account."""


class ProgramScheduling(Scheduler):  # type: ignore[misc] # vLLM has no types where this is checked
    """A mixin over vLLM's ``Scheduler`` or ``AsyncScheduler``."""

    def __init__(self, *args: Any, clock: Callable[[], float] | None = None, **kwargs: Any) -> None:
        config = kwargs["vllm_config"] if "vllm_config" in kwargs else args[0]
        self._settings = Settings.from_config(config.additional_config)
        # vLLM's heap of waiting requests, ordered by (priority, arrival_time), in place of its plain list.
        config.scheduler_config.policy = "priority"
        super().__init__(*args, **kwargs)
        self._clock = clock or _wall_anchored(time.time() - time.monotonic())
        self._queues = Queues(self._settings.levels)
        self._known: dict[str, _Known] = {}
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self._aborted: OrderedDict[str, AbortedJSON] = OrderedDict()
        self._in_vain: dict[str, int] = {}
        self._decisions = 0
        self._steps = 0
        self._failed = False

    # -- what vLLM calls ---------------------------------------------------------------------------------------

    def add_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """A call's request enters at its program's level (Algorithm 1, entry)."""
        with self._guarded("queueing a call"):
            if request.request_id not in self.requests:  # else a further part of a streamed input
                self._enter(request)
        super().add_request(request, *args, **kwargs)

    def schedule(self, *args: Any, **kwargs: Any) -> Any:
        """One step: decide, let vLLM fill the batch, note who came into it."""
        parked: list[Any] = []
        selection: Selection | None = None
        with self._guarded("deciding"):
            self._steps += 1
            if self._steps % self._settings.decide_every_steps == 0:
                selection = self._decide(parked)
        try:
            output = super().schedule(*args, **kwargs)
        finally:
            # Kept out of the queue meanwhile: a request cannot leave and rejoin the batch in one step.
            for request in parked:
                self.waiting.add_request(request)
        with self._guarded("noting the batch"):
            now = self._clock()
            for data in output.scheduled_new_reqs:
                self._started(data.req_id, now)
            for request_id in output.scheduled_cached_reqs.resumed_req_ids:
                self._started(request_id, now)
            if selection is not None and selection.preempt:
                self._note_in_vain(selection)
        return output

    def update_from_output(self, *args: Any, **kwargs: Any) -> Any:
        """Attach the report to each output that ends a call, or that may turn out to."""
        outputs = super().update_from_output(*args, **kwargs)
        with self._guarded("reporting"):
            now = self._clock()
            for each in outputs.values():
                for output in each.outputs:
                    self._account_output(output, now)
        return outputs

    def finish_requests(self, *args: Any, **kwargs: Any) -> Any:
        """The client left, a stop string was found, or vLLM gave the request up: keep the report for whoever asks."""
        finished = super().finish_requests(*args, **kwargs)
        with self._guarded("noting an abort"):
            now = self._clock()
            for request in finished:
                self._abort(request.request_id, now)
        return finished

    def _preempt_request(self, request: Any, *args: Any, **kwargs: Any) -> None:
        """Put back, by us or by vLLM for want of KV blocks."""
        with self._guarded("noting a preemption"):
            known = self._known.get(request.request_id)
            if known is not None and self._queues[request.request_id].running:
                now = self._clock()
                self._queues.preempted(request.request_id, now=now)
                known.account.put_back(now=now)
        super()._preempt_request(request, *args, **kwargs)

    def autellix_state(self) -> EngineStateJSON:
        """What ``GET /autellix/state`` shows; called in the engine process between two steps."""
        now = self._clock()
        resident: dict[str, int] = {}
        running: list[dict[str, float | int | str]] = []
        for call in self._queues.running:
            account = self._known[call.id].account
            blocks = self._holds(call)
            program = account.headers.program
            resident[program] = resident.get(program, 0) + blocks
            running.append({**asdict(account.report(call, now=now)), "program": program, "blocks": blocks})
        return {
            "policy": self._settings.policy.value,
            "levels": [{"waiting": waits, "running": runs} for waits, runs in self._queues.lengths()],
            "running": running,
            "waiting": sum(waits for waits, _ in self._queues.lengths()),
            "resident_blocks": resident,
            "kv_usage": self.kv_cache_manager.usage,
            "aborted": list(self._aborted.values()),
        }

    # -- deciding ----------------------------------------------------------------------------------------------

    def _decide(self, parked: list[Any]) -> Selection:
        """Demote and promote what time made due, then make room for better calls. Victims go to ``parked``."""
        self._decisions += 1
        now = self._clock()
        turn = self._queues.turn(now=now)
        for call in turn.demoted:
            self._place(self._known[call.id].request, call)
        for call in turn.promoted:
            self._reorder(self._known[call.id].request, call)
        free = self.max_num_active_reqs - len(self.running) - self.num_waiting_for_streaming_input
        selection = self._queues.select(
            Room(slots=free, units=self.kv_cache_manager.block_pool.get_num_free_blocks()),
            needs=self._needs,
            holds=self._holds,
            most_preemptions=self._settings.most_preemptions,
            may_run=self._may_run,
            may_leave=self._may_leave,
        )
        for call in selection.preempt:
            self._put_back(self._known[call.id].request, parked)
        # The token budget of a step goes to the best calls first, not to those that have run longest.
        self.running.sort(key=lambda request: (request.priority, request.arrival_time))
        return selection

    def _put_back(self, victim: Any, parked: list[Any]) -> None:
        self.running.remove(victim)
        self._preempt_request(victim, time.monotonic())
        # The model runner must not take the request for one that it still holds from the last step.
        self.prev_step_scheduled_req_ids.discard(victim.request_id)
        self.waiting.remove_request(victim)
        parked.append(victim)

    def _needs(self, call: Queued) -> int:
        """KV blocks that the waiting call takes if nothing of it is cached."""
        return -(-self._known[call.id].request.num_tokens // self.block_size)

    def _holds(self, call: Queued) -> int:
        """KV blocks that the running call gives back."""
        return sum(len(group) for group in self.kv_cache_manager.get_block_ids(call.id))

    def _may_run(self, call: Queued) -> bool:
        request = self._known[call.id].request
        if request.status.name not in {"WAITING", "PREEMPTED"}:  # a grammar compiles, KV is fetched, input is awaited
            return False
        if request.num_stale_output_tokens:  # vLLM first drains what was in flight when it was preempted
            return False
        return self._in_vain.get(call.id, -1) < self._decisions

    def _may_leave(self, call: Queued) -> bool:
        request = self._known[call.id].request
        if request.status.name != "RUNNING" or request.resumable:
            return False
        ends = request.num_output_tokens + request.num_output_placeholders >= request.max_tokens
        return not ends and self._request_blocks_can_be_freed(request)

    def _note_in_vain(self, selection: Selection) -> None:
        for call in selection.admit:
            if call.id in self._queues and not self._queues[call.id].running:
                self._in_vain[call.id] = self._decisions + _RETRY_AFTER_DECISIONS

    # -- accounting --------------------------------------------------------------------------------------------

    def _enter(self, request: Any) -> None:
        extra = request.sampling_params.extra_args if request.sampling_params is not None else None
        call = carried(extra, request=request.request_id, policy=self._settings.policy)
        headers = call.headers
        now = self._clock()
        account = self._accounts.get(call.exchange) or Account(headers=headers, since=now)
        known = _Known(request, account, call.exchange)
        queued = self._queues.enter(
            request.request_id,
            entry_service(headers.policy, critical_path_s=headers.service_s, service_s=headers.service_s),
            now=now,
            policy=headers.policy,
            program_wait_s=headers.program_wait_s,
            program_service_s=headers.program_service_s,
        )
        self._known[request.request_id] = known
        self._accounts[call.exchange] = account
        account.arrive(prompt_tokens=request.num_prompt_tokens, level=queued.level, now=now)
        self._place(request, queued)

    def _started(self, request_id: str, now: float) -> None:
        known = self._known.get(request_id)
        if known is not None and not self._queues[request_id].running:
            self._queues.started(request_id, now=now)
            known.account.start(now=now)
            self._in_vain.pop(request_id, None)

    def _account_output(self, output: Any, now: float) -> None:
        known = self._known.get(output.request_id)
        if known is None:
            if output.finish_reason is not None and output.request_id in self._aborted:  # given up by vLLM
                report = self._aborted[output.request_id]["report"]
                output.kv_transfer_params = pack_report(output.kv_transfer_params, report)
            return
        account, request = known.account, known.request
        account.output_tokens += len(output.new_token_ids)
        if output.prefill_stats is not None and not known.counted:
            known.counted = True
            account.cached_tokens += output.prefill_stats.num_cached_tokens
        if output.finish_reason is not None and request.is_finished():
            self._leave(known, now)
            report = account.report(now=now)
        elif request.sampling_params is not None and request.sampling_params.stop:
            # The API process looks for stop strings: to the engine, each output may have been the last.
            report = account.report(self._queues[output.request_id], now=now)
        else:
            return
        output.kv_transfer_params = pack_report(output.kv_transfer_params, asdict(report))

    def _abort(self, request_id: str, now: float) -> None:
        known = self._known.get(request_id)
        if known is None:
            return
        self._leave(known, now)
        self._aborted[request_id] = {
            "program": known.account.headers.program,
            "report": asdict(known.account.report(now=now)),
        }
        while len(self._aborted) > self._settings.aborted_reports:
            self._aborted.popitem(last=False)

    def _leave(self, known: _Known, now: float) -> None:
        request_id = known.request.request_id
        del self._known[request_id]
        self._in_vain.pop(request_id, None)
        known.account.leave(self._queues.leave(request_id), now=now)
        self._accounts.move_to_end(known.exchange)
        while len(self._accounts) > _MOST_EXCHANGES + len(self._known):
            self._accounts.popitem(last=False)

    # -- vLLM's order ------------------------------------------------------------------------------------------

    @staticmethod
    def _place(request: Any, call: Queued) -> None:
        request.priority = call.level
        request.arrival_time = call.enqueued_at

    def _reorder(self, request: Any, call: Queued) -> None:
        """Change the place of a waiting request; it must be out of vLLM's heap meanwhile."""
        for queue in (self.waiting, self.kv_holding_waiting):
            try:
                queue.remove_request(request)
            except ValueError:
                continue
            self._place(request, call)
            queue.add_request(request)
            return
        self._place(request, call)

    @contextmanager
    def _guarded(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception:  # whatever is wrong with our order, the engine must go on with its own
            if not self._failed:
                self._failed = True
                logger.exception(
                    "%s failed; this step is in vLLM's own order. Further failures are not logged.",
                    what.capitalize(),
                )


def _wall_anchored(offset_s: float) -> Callable[[], float]:
    """A monotonic clock that began as wall-clock time, which vLLM stamps requests with that we did not enter."""
    return lambda: time.monotonic() + offset_s
