"""What of vLLM does not go with the adapter: an engine that asks for it does not start, and says why.

The alternative would be an engine that looks as if it served programs and does not. What does go with it, and how that
was shown, is the table in ``docs/engine.md``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autellix_core.errors import AutellixError

__all__ = ["EngineRefused", "Features", "refusals"]

_WITHOUT = "start this engine without --scheduler-cls and --middleware, and the gateway serves it as a stock engine."
_OFFLOADING = "OffloadingConnector"


class EngineRefused(AutellixError, RuntimeError):
    """vLLM was configured with something that the adapter does not work with."""


@dataclass(frozen=True, slots=True)
class Features:
    """What decides whether the adapter works with an engine's configuration."""

    pooling: bool = False
    """The model embeds, classifies or scores instead of generating."""
    data_parallel: int = 1
    pipeline_parallel: int = 1
    api_servers: int = 1
    connector: str | None = None
    """The KV connector's class, if there is one."""
    speculation: str | None = None
    """The method of speculative decoding, if there is one."""
    metrics_in_files: bool = False
    """vLLM's metrics are gathered from files, whether or not several processes write them."""
    rust_frontend: bool = False
    """vLLM's API server is the one that runs no Python middleware."""

    @classmethod
    def of(cls, config: Any, environment: Mapping[str, str]) -> "Features":
        """Read vLLM's own configuration."""
        parallel = config.parallel_config
        transfer = config.kv_transfer_config
        speculative = config.speculative_config
        return cls(
            pooling=config.model_config.runner_type == "pooling",
            # A dense model's ranks are told that they are alone; only their index, from the second on, says otherwise.
            data_parallel=max(parallel.data_parallel_size, parallel.data_parallel_index + 1),
            pipeline_parallel=parallel.pipeline_parallel_size,
            api_servers=getattr(parallel, "_api_process_count", 1),
            connector=None if transfer is None else transfer.kv_connector,
            speculation=None if speculative is None else str(speculative.method),
            metrics_in_files="PROMETHEUS_MULTIPROC_DIR" in environment,
            rust_frontend=environment.get("VLLM_USE_RUST_FRONTEND", "0") not in {"", "0"},
        )


def refusals(features: Features) -> tuple[str, ...]:
    """One sentence for each thing that does not work, with what to do instead; none if all does."""
    why: list[str] = []
    if features.pooling:
        why.append(f"Embedding and other pooling models make one pass a call and give nothing to order: {_WITHOUT}")
    if features.data_parallel > 1:
        why.append(
            f"Of data-parallel engine cores behind one address, here {features.data_parallel} or more, only the first "
            "would answer for its queues: start one engine a rank (--data-parallel-size 1), each named to the gateway."
        )
    if features.pipeline_parallel > 1:
        why.append(
            "Resuming a preempted call with several pipeline stages in flight is untested: use "
            f"--tensor-parallel-size in place of --pipeline-parallel-size {features.pipeline_parallel}, or {_WITHOUT}"
        )
    if features.api_servers > 1:
        why.append(
            f"{features.api_servers} API processes have no metrics registry in common that the adapter could write to: "
            "use --api-server-count 1, and more engines behind the gateway where one is not enough."
        )
    elif features.metrics_in_files:
        why.append(
            "PROMETHEUS_MULTIPROC_DIR has vLLM gather its metrics from files, where the adapter's would not be found: "
            "unset it."
        )
    if features.rust_frontend:
        why.append(
            "vLLM's frontend in Rust runs no Python middleware, so no call would bring its program: unset "
            f"VLLM_USE_RUST_FRONTEND, or {_WITHOUT}"
        )
    if features.connector not in {None, _OFFLOADING}:
        why.append(
            f"Preemption is untested with the KV connector {features.connector}: use {_OFFLOADING} "
            f"(--kv-offloading-size), or {_WITHOUT}"
        )
    if features.speculation not in {None, "ngram"}:
        why.append(
            f"Preemption is untested with speculative decoding by {features.speculation}: use the method ngram, "
            f"leave --speculative-config out, or {_WITHOUT}"
        )
    return tuple(why)
