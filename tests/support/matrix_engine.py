"""vLLM's real scheduler with the adapter over it, driven as vLLM's engine core drives it, with no server around it."""

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from autellix_core.wire import CallHeaders
from autellix_engine.carrier import pack_call, take_report
from autellix_engine.scheduler import program_scheduler
from autellix_engine.settings import CONFIG_KEY
from matrix_runner import BLOCK, BatchRunner, SlotRunner

__all__ = ["Call", "Clock", "Engine", "Lane"]

_BATCHED_TOKENS = 20
_LONGEST = 96


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class Lane:
    """How the engine runs."""

    depth: int = 1
    """Steps under way at once: 2 is asynchronous scheduling."""
    runner: int = 1
    """Which of vLLM's two model runners is behind the scheduler."""
    slots: int = 4
    blocks: int = 32


@dataclass(eq=False)
class Call:
    """A call and what became of it. Times are seconds of the engine's clock."""

    name: str
    prompt: Sequence[int]
    most_tokens: int
    service_s: float = 0.0
    """The program's, at arrival."""
    ends: Sequence[int] = ()
    answer: list[int] = field(default_factory=list)
    ended: str | None = None
    report: dict[str, Any] | None = None
    ran_s: float = 0.0
    waited_s: float = 0.0
    preemptions: int = 0


class _PlainModel:
    """A configuration of a text model with nothing special: whatever else a version asks for is off."""

    def __init__(self) -> None:
        self.max_model_len = _LONGEST
        self.runner_type = "generate"

    def __getattr__(self, name: str) -> Any:
        return None


class Engine:
    """One engine core: schedule, execute, update, with up to ``lane.depth`` steps under way."""

    def __init__(self, lane: Lane, settings: dict[str, Any], make: Any = program_scheduler) -> None:
        """``make`` builds the scheduler with the adapter over it, as vLLM's ``--scheduler-cls`` does."""
        self.lane, self.clock = lane, Clock()
        self.calls: dict[str, Call] = {}
        self.scheduler = _scheduler(lane, settings, self.clock, make)
        kind = SlotRunner if lane.runner == 2 else BatchRunner
        self.runner = kind(lane.blocks, slots=lane.slots, runs_ahead=lane.depth > 1)
        self._under_way: deque[tuple[Any, dict[str, list[int]]]] = deque()
        self._hash = _block_hasher()

    @property
    def busy(self) -> bool:
        """Whether anything is left to do."""
        return bool(self._under_way) or bool(self.scheduler.has_requests())

    def add(self, call: Call) -> None:
        """A call arrives."""
        from vllm.sampling_params import SamplingParams
        from vllm.v1.request import Request

        headers = CallHeaders(
            program=f"program of {call.name}",
            call=call.name,
            service_s=call.service_s,
            program_service_s=call.service_s,
        )
        sampling = SamplingParams(
            temperature=0.0,
            max_tokens=call.most_tokens,
            stop_token_ids=list(call.ends),
            extra_args=pack_call(None, headers.to_headers(), call.name),
        )
        self.calls[call.name] = call
        self.scheduler.add_request(
            Request(
                request_id=call.name,
                prompt_token_ids=list(call.prompt),
                sampling_params=sampling,
                pooling_params=None,
                arrival_time=self.clock.now,
                block_hasher=self._hash,
            )
        )

    def abort(self, call: Call) -> None:
        """The call's client leaves."""
        from vllm.v1.request import RequestStatus

        request = self.scheduler.requests.get(call.name)
        if request is not None:
            call.preemptions = request.num_preemptions
            call.ended = "abort"
            self.scheduler.finish_requests([call.name], RequestStatus.FINISHED_ABORTED)

    def step(self) -> None:
        """Begin a step and, once ``depth`` are under way or nothing more can begin, end the oldest."""
        if self.scheduler.has_requests():
            step = self.scheduler.schedule()
            self._under_way.append((step, self.runner.execute(step)))
            if len(self._under_way) < self.lane.depth and step.total_num_scheduled_tokens:
                return
        if self._under_way:
            self._end(*self._under_way.popleft())

    def sleep(self, seconds: float) -> None:
        """Let time pass, and say of each call here whether it ran or waited."""
        self.clock.now += seconds
        running = {request.request_id for request in self.scheduler.running}
        for name in self.scheduler.requests:
            if name in running:
                self.calls[name].ran_s += seconds
            else:
                self.calls[name].waited_s += seconds

    def _end(self, step: Any, tokens: dict[str, list[int]]) -> None:
        from vllm.v1.outputs import ModelRunnerOutput

        requests = dict(self.scheduler.requests)
        made = ModelRunnerOutput(
            req_ids=list(tokens),
            req_id_to_index={call: index for index, call in enumerate(tokens)},
            sampled_token_ids=list(tokens.values()),
        )
        for each in self.scheduler.update_from_output(step, made).values():
            for output in each.outputs:
                call = self.calls[output.request_id]
                call.answer.extend(output.new_token_ids)
                if output.finish_reason is not None:
                    call.ended = str(output.finish_reason)
                    call.preemptions = requests[call.name].num_preemptions
                _, report = take_report(output.kv_transfer_params)
                call.report = dict(report) if report is not None else call.report


def _scheduler(lane: Lane, settings: dict[str, Any], clock: Clock, make: Any) -> Any:
    # Without a GPU vLLM accepts a configuration for its first runner only, so the second is set afterwards.
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
    import torch
    from vllm.config import CacheConfig, DeviceConfig, SchedulerConfig, VllmConfig
    from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec

    class Structured:
        """No call here has a grammar; any text is accepted."""

        def should_advance(self, *_: Any, **__: Any) -> bool:
            return False

        def accept_tokens(self, *_: Any, **__: Any) -> bool:
            return True

    cache = CacheConfig(block_size=BLOCK, enable_prefix_caching=True)
    cache.num_gpu_blocks = lane.blocks
    config = VllmConfig(
        scheduler_config=SchedulerConfig(
            max_num_seqs=lane.slots,
            max_num_batched_tokens=_BATCHED_TOKENS,
            max_model_len=_LONGEST,
            is_encoder_decoder=False,
            enable_chunked_prefill=True,
        ),
        cache_config=cache,
        device_config=DeviceConfig("cpu"),
        additional_config={CONFIG_KEY: settings},
    )
    config.model_config = _PlainModel()
    config.scheduler_config.async_scheduling = lane.depth > 1
    layer = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=1, dtype=torch.float32)
    scheduler = make(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(lane.blocks, [], [KVCacheGroupSpec(["layer"], layer)]),
        structured_output_manager=Structured(),
        block_size=BLOCK,
        log_stats=True,
        clock=clock,
    )
    scheduler.use_v2_model_runner = lane.runner == 2
    return scheduler


def _block_hasher() -> Any:
    from vllm.utils.hashing import sha256
    from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash

    init_none_hash(sha256)
    return get_request_block_hasher(BLOCK, sha256)
