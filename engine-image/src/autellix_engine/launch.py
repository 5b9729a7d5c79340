"""From our few arguments to vLLM's API server: which command, with which environment.

Everything here is a value computed from values, so that what an engine will be started with can be read and tested
without starting one. What follows ``--`` on our command line goes to vLLM last and therefore wins.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from autellix_engine import tiny_model, versions
from autellix_engine.settings import CONFIG_KEY, Settings

__all__ = ["MIDDLEWARE", "SCHEDULER", "TINY", "Launch", "arguments", "environment"]

TINY = "tiny"
"""The ``--model`` that means the built one."""

SCHEDULER = "autellix_engine.scheduler.program_scheduler"
MIDDLEWARE = "autellix_engine.middleware.ProgramMiddleware"


@dataclass(frozen=True, slots=True)
class Launch:
    """One engine to start."""

    model: str = TINY
    port: int = 8000
    host: str = "127.0.0.1"
    served_name: str | None = None
    """The model's name in the API; None for the last part of ``model``."""
    cpu: bool = False
    """vLLM's CPU build is what is installed."""
    offload_gib: float | None = None
    """Host memory, in GiB, for the KV cache of calls that are not in the batch; 0 for none, None for 4 on a GPU, which
    hold 32,768 tokens of an 8-billion-parameter Llama (128 KiB each). Not on a CPU."""
    entry: str = versions.ENTRIES[0]
    """The module that serves vLLM's API."""
    verbose: bool = False
    stock: bool = False
    """Without the adapter: vLLM as it is, told all else the same, to be compared with."""
    settings: Settings = field(default_factory=Settings)
    extra: Sequence[str] = ()
    """Arguments for vLLM, as they are."""

    @property
    def name(self) -> str:
        """What calls put into their ``model`` field."""
        if self.served_name is not None:
            return self.served_name
        return tiny_model.NAME if self.model == TINY else Path(self.model).name


def arguments(launch: Launch, model: Path | str) -> list[str]:
    """The command line of vLLM's API server. ``model`` is what vLLM loads: a directory or a hub name."""
    return [
        *(sys.executable, "-m", launch.entry),
        *("--model", str(model)),
        *("--served-model-name", launch.name),
        *("--host", launch.host, "--port", str(launch.port)),
        *(() if launch.stock else _adapter(launch.settings)),
        *(() if launch.verbose else ("--disable-uvicorn-access-log", "--uvicorn-log-level", "warning")),
        *_offloading(launch),
        *((_TINY_CPU if launch.model == TINY else _CPU) if launch.cpu else ()),
        *launch.extra,
    ]


def environment(launch: Launch, given: Mapping[str, str]) -> dict[str, str]:
    """The environment of vLLM's API server: ``given``, and our defaults where it says nothing."""
    defaults = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if not launch.verbose:
        # What vLLM warns of with the tiny model on a CPU (no Triton, no compilation) is as it should be.
        defaults["VLLM_LOGGING_LEVEL"] = "ERROR" if launch.cpu and launch.model == TINY else "WARNING"
    if launch.model == TINY or Path(launch.model).is_dir():
        defaults |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if launch.cpu and launch.model == TINY:
        defaults["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # makes the executor below legal
        defaults["OMP_NUM_THREADS"] = "1"  # more threads cost more than such a model gains
    return {**defaults, **given}


def _adapter(settings: Settings) -> Sequence[str]:
    config = json.dumps({CONFIG_KEY: settings.to_json()}, separators=(",", ":"))
    return ("--scheduler-cls", SCHEDULER, "--middleware", MIDDLEWARE, "--additional-config", config)


def _offloading(launch: Launch) -> Sequence[str]:
    """A call that resumes after its blocks were reallocated loads them back. The user's own word on it stands alone."""
    usual_gib = 0.0 if launch.cpu else _USUAL_OFFLOAD_GIB
    gib = usual_gib if launch.offload_gib is None else launch.offload_gib
    own = any(each.startswith(("--kv-offloading", "--kv-transfer")) for each in _dashed(launch.extra))
    return () if own or not gib else ("--kv-offloading-size", f"{gib:g}", *_OFFLOADING)


def _dashed(arguments: Sequence[str]) -> Sequence[str]:
    return [each.replace("_", "-") for each in arguments]


_USUAL_OFFLOAD_GIB = 4.0

# Left alone, vLLM offloads the blocks of prompts only: what a preempted call had generated would be computed again.
_OFFLOADING = ("--kv-transfer-config", '{"kv_connector_extra_config":{"offload_prompt_only":false}}')

# What a preemption keeps are full blocks: with the CPU's default of 128 up to 127 tokens would be computed again. And
# left alone, vLLM takes 92 % of the memory for its KV cache, so that a second engine could not start.
_CPU = ("--block-size", "32", "--kv-cache-memory-bytes", str(2 << 30))

# One process fewer, which saves 0.4 GB and some seconds of the start; and no compilation, which would not pay.
# 64 MiB hold 65,536 tokens. In float32 a token's logits do not depend on what else is in the batch.
_TINY_CPU = (
    *("--block-size", "32", "--kv-cache-memory-bytes", str(64 << 20), "--dtype", "float32"),
    *("--distributed-executor-backend", "uni", "--enforce-eager"),
)
