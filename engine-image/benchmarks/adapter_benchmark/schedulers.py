"""vLLM's own scheduler classes, built as its engine builds them, and a model that costs nothing.

What a scheduler decides does not depend on what the tokens are, so its own time can be measured without a model, over
more calls than a CPU could serve.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vllm import SamplingParams
from vllm.engine.arg_utils import EngineArgs
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request
from vllm.v1.structured_output import StructuredOutputManager

from autellix_core.wire import CallHeaders
from autellix_engine.carrier import pack_call
from autellix_engine.launch import SCHEDULER
from autellix_engine.settings import CONFIG_KEY

__all__ = ["BLOCK", "Call", "Clock", "Variant", "build", "queue", "step"]

BLOCK = 16
"""Tokens of a KV block."""

_END_OF_TEXT = 0
_A_TOKEN = 1


class Clock:
    """The adapter's clock: it advances by a decoding step of a GPU at each step, however long deciding took."""

    step_s = 0.02

    def __init__(self) -> None:
        self.now_s = time.time()

    def __call__(self) -> float:
        return self.now_s

    def advance(self) -> None:
        """One step has passed."""
        self.now_s += self.step_s


@dataclass(frozen=True, slots=True)
class Variant:
    """A scheduler that is compared."""

    name: str
    policy: str = "fcfs"
    settings: dict[str, Any] | None = None
    """The adapter's; None for stock vLLM."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call to queue: the same for every scheduler."""

    id: str
    prompt: int
    output: int
    level: int
    service_s: float
    wait_s: float


def build(variant: Variant, model: Path, *, batch: int, blocks: int, clock: Clock) -> Any:
    """The scheduler that vLLM would build with these settings on this machine."""
    arguments: dict[str, Any] = {"scheduling_policy": variant.policy}
    if variant.settings is not None:
        arguments |= {"scheduler_cls": SCHEDULER, "additional_config": {CONFIG_KEY: variant.settings}}
    config = EngineArgs(
        model=str(model),
        dtype="float32",
        enforce_eager=True,
        max_num_seqs=batch,
        max_num_batched_tokens=16_384,
        block_size=BLOCK,
        **arguments,
    ).create_engine_config()
    config.cache_config.num_gpu_blocks = blocks
    init_none_hash(sha256)
    attention = FullAttentionSpec(
        block_size=BLOCK,
        num_kv_heads=1,
        head_size=64,
        dtype=config.model_config.dtype,
    )
    return config.scheduler_config.get_scheduler_cls()(
        vllm_config=config,
        kv_cache_config=KVCacheConfig(
            num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["attention"], attention)]
        ),
        structured_output_manager=StructuredOutputManager(config),
        block_size=BLOCK,
        hash_block_size=BLOCK,
        log_stats=True,
        **({} if variant.settings is None else {"clock": clock}),
    )


def queue(scheduler: Any, call: Call, clock: Clock) -> None:
    """Hand the call to the scheduler as vLLM's engine would."""
    headers = CallHeaders(
        program=call.id,
        call=call.id,
        service_s=call.service_s,
        program_service_s=call.service_s,
        program_wait_s=call.wait_s,
    )
    sampling = SamplingParams(
        max_tokens=call.output, ignore_eos=True, extra_args=pack_call(None, headers.to_headers(), call.id)
    )
    sampling.update_from_generation_config({}, _END_OF_TEXT)
    name = list(call.id.encode())  # its first tokens, so that no call finds another's prefix cached
    scheduler.add_request(
        Request(
            request_id=call.id,
            prompt_token_ids=(name + [_A_TOKEN] * call.prompt)[: call.prompt],
            sampling_params=sampling,
            pooling_params=None,
            arrival_time=clock(),
            priority=call.level,
            block_hasher=get_request_block_hasher(BLOCK, sha256),
        )
    )


def step(scheduler: Any, scheduled: Callable[[Any], object] = lambda _: None) -> Sequence[str]:
    """One step of the engine. Returns the calls that ended. ``scheduled`` sees what the scheduler decided."""
    output = scheduler.schedule()
    scheduled(output)
    requests = [scheduler.requests[request_id] for request_id in output.num_scheduled_tokens]
    tokens = [[_A_TOKEN] if request.num_computed_tokens >= request.num_tokens else [] for request in requests]
    names = [request.request_id for request in requests]
    scheduler.update_from_output(
        output,
        ModelRunnerOutput(
            req_ids=names,
            req_id_to_index={name: index for index, name in enumerate(names)},
            sampled_token_ids=tokens,
        ),
    )
    return [name for name in names if name not in scheduler.requests]
