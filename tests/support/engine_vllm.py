"""A small deterministic stand-in for vLLM's scheduler, for unit tests of what is mixed into it.

It keeps to what the adapter relies on: a heap of waiting requests by (priority, arrival_time), a batch of so many
places, KV blocks, preemption as recomputation. Whether that is how vLLM behaves is not shown here but by the tests on a
real engine.
"""

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from types import SimpleNamespace
from typing import Any

from autellix_core.wire import CallHeaders
from autellix_engine.carrier import pack_call
from autellix_engine.scheduler import ProgramScheduling
from autellix_engine.settings import CONFIG_KEY

__all__ = [
    "BLOCK",
    "VERSION",
    "Clock",
    "Output",
    "ProgramStockScheduler",
    "Request",
    "Status",
    "StockScheduler",
    "make_scheduler",
]

BLOCK = 4
VERSION = "0.32.0"


class Status(Enum):
    WAITING = auto()
    WAITING_FOR_REMOTE_KVS = auto()
    WAITING_FOR_STRUCTURED_OUTPUT_GRAMMAR = auto()
    RUNNING = auto()
    PREEMPTED = auto()
    FINISHED = auto()


@dataclass
class Clock:
    """Seconds that pass when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass(eq=False)
class Request:
    request_id: str
    num_prompt_tokens: int = 4
    max_tokens: int = 100
    headers: CallHeaders | None = None
    exchange: str | None = None
    stop: list[str] = field(default_factory=list)
    status: Status = Status.WAITING
    priority: int = 0
    arrival_time: float = 0.0
    num_output_tokens: int = 0
    num_output_placeholders: int = 0
    num_stale_output_tokens: int = 0
    num_computed_tokens: int = 0
    block_hashes: list[str] = field(default_factory=list)
    lora_request: Any = None
    structured_output_request: Any = None
    resumable: bool = False

    def __post_init__(self) -> None:
        extra = None
        if self.headers is not None:
            extra = pack_call(None, self.headers.to_headers(), self.exchange or self.request_id)
        self.sampling_params = SimpleNamespace(extra_args=extra, stop=self.stop)

    def __lt__(self, other: "Request") -> bool:
        return (self.priority, self.arrival_time, self.request_id) < (
            other.priority,
            other.arrival_time,
            other.request_id,
        )

    @property
    def num_tokens(self) -> int:
        return self.num_prompt_tokens + self.num_output_tokens

    @property
    def blocks(self) -> int:
        return -(-self.num_tokens // BLOCK)

    def is_finished(self) -> bool:
        return self.status is Status.FINISHED


@dataclass
class Output:
    request_id: str
    new_token_ids: list[int]
    finish_reason: str | None = None
    kv_transfer_params: dict[str, Any] | None = None
    prefill_stats: Any = None


class Waiting:
    def __init__(self) -> None:
        self.heap: list[Request] = []

    def __len__(self) -> int:
        return len(self.heap)

    def add_request(self, request: Request) -> None:
        heapq.heappush(self.heap, request)

    def remove_request(self, request: Request) -> None:
        self.heap.remove(request)
        heapq.heapify(self.heap)


class StockScheduler:
    """What is stock about it: nothing is preempted because a better request waits."""

    def __init__(self, vllm_config: Any, *, slots: int = 2, blocks: int = 1000) -> None:
        self.policy = vllm_config.scheduler_config.policy
        self.max_num_active_reqs = self.max_num_running_reqs = slots
        self.num_waiting_for_streaming_input = 0
        self.pause_state = SimpleNamespace(name="UNPAUSED")
        self.block_size = BLOCK
        self.total_blocks = blocks
        self.requests: dict[str, Request] = {}
        self.waiting, self.kv_holding_waiting = Waiting(), Waiting()
        self.running: list[Request] = []
        self.prev_step_scheduled_req_ids: set[str] = set()
        self.finished_recving_kv_req_ids: set[str] = set()
        self.refused: set[str] = set()
        self.cached: dict[str, int] = {}
        """Tokens that a preempted request finds cached when it comes back."""
        self.short_of_blocks = False
        self.defers_frees = False
        """Blocks of who is put back are free a step later only, as where a KV connector may still write them."""
        self.deferred = 0
        self.lora_config: Any = None
        self.shared: dict[str, Any] = {}
        """Blocks that more than one request may hold, by hash."""
        self.kv_cache_config = SimpleNamespace(kv_cache_groups=[None])
        self.kv_cache_manager = SimpleNamespace(
            usage=0.5,
            enable_caching=True,
            get_block_ids=lambda request_id: ([0] * self.requests[request_id].blocks,),
            get_blocks=lambda request_id: SimpleNamespace(blocks=(self._blocks_of(self.requests[request_id]),)),
            block_pool=SimpleNamespace(
                get_num_free_blocks=self._free_blocks,
                get_cached_block=lambda block_hash, _: [self.shared[block_hash]] if block_hash in self.shared else None,
            ),
        )

    def add_request(self, request: Request) -> None:
        self.requests[request.request_id] = request
        self.waiting.add_request(request)

    def schedule(self) -> Any:
        if self.short_of_blocks:
            self._preempt_request(self.running.pop(), 0.0)
            self.short_of_blocks = False
        new, resumed, computed = (
            [],
            set(),
            {request.request_id: request.num_computed_tokens for request in self.running},
        )
        while self.waiting and len(self.running) < self.max_num_active_reqs:
            request = self.waiting.heap[0]
            if request.blocks > self._free_blocks() or request.request_id in self.refused:
                break
            self.waiting.remove_request(request)
            self.running.append(request)
            if request.status is Status.PREEMPTED:
                resumed.add(request.request_id)
                request.num_computed_tokens = self.cached.get(request.request_id, 0)
                computed[request.request_id] = request.num_computed_tokens
            else:
                new.append(SimpleNamespace(req_id=request.request_id, num_computed_tokens=request.num_computed_tokens))
            request.status = Status.RUNNING
        for request in self.running:
            request.num_computed_tokens = request.num_tokens
        self.deferred = 0
        self.prev_step_scheduled_req_ids = {request.request_id for request in self.running}
        cached = SimpleNamespace(
            req_ids=list(computed), resumed_req_ids=resumed, num_computed_tokens=list(computed.values())
        )
        return SimpleNamespace(scheduled_new_reqs=new, scheduled_cached_reqs=cached)

    def update_from_output(self, tokens: Iterable[tuple[str, int]]) -> dict[int, Any]:
        """Give each of these running requests so many tokens."""
        outputs = []
        for request_id, count in tokens:
            request = self.requests[request_id]
            first = request.num_output_tokens == 0
            request.num_output_tokens += count
            ended = request.num_output_tokens >= request.max_tokens
            if ended:
                self._finish(request)
            outputs.append(
                Output(
                    request_id,
                    [0] * count,
                    finish_reason="length" if ended else None,
                    prefill_stats=SimpleNamespace(num_cached_tokens=3) if first else None,
                )
            )
        return {0: SimpleNamespace(outputs=outputs)}

    def finish_requests(self, request_ids: Iterable[str]) -> list[Request]:
        finished = [self.requests[request_id] for request_id in request_ids if request_id in self.requests]
        for request in finished:
            self._finish(request)
        return finished

    def _finish(self, request: Request) -> None:
        if request in self.running:
            self.running.remove(request)
        else:
            self.waiting.remove_request(request)
        request.status = Status.FINISHED
        del self.requests[request.request_id]

    def _preempt_request(self, request: Request, timestamp: float) -> None:
        assert request.status is Status.RUNNING
        assert request not in self.running
        self._free_request_blocks(request)
        request.status = Status.PREEMPTED
        request.num_computed_tokens = 0
        self.waiting.add_request(request)

    def _free_request_blocks(self, request: Request) -> None:
        if self.defers_frees:
            self.deferred += request.blocks

    def _blocks_of(self, request: Request) -> list[Any]:
        shared = [self.shared[each] for each in request.block_hashes if each in self.shared]
        return shared + [SimpleNamespace(ref_cnt=1)] * (request.blocks - len(shared))

    def _free_blocks(self) -> int:
        return self.total_blocks - self.deferred - sum(request.blocks for request in self.running)


class ProgramStockScheduler(ProgramScheduling, StockScheduler):
    """As program_scheduler builds it over vLLM's."""


def make_scheduler(clock: Clock, *, slots: int = 2, blocks: int = 1000, version: str = VERSION, **settings: Any) -> Any:
    """The adapter over the stand-in, with levels [0, 1), [1, 4), [4, inf) unless told otherwise."""
    given = {"bounds_s": [1.0, 4.0], **settings}
    config = SimpleNamespace(additional_config={CONFIG_KEY: given}, scheduler_config=SimpleNamespace(policy="fcfs"))
    return ProgramStockScheduler(vllm_config=config, slots=slots, blocks=blocks, clock=clock, version=version)
