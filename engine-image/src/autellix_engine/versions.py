"""Which versions of vLLM this adapter was tested with, and which of vLLM's names it relies on.

vLLM calls its scheduler's interface private: names go and meanings change between minor versions. A version outside
the tested range gets a warning that says what nobody has compared there; a name that is gone is a refusal, since
without it the order would silently be vLLM's own.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

__all__ = ["ENTRIES", "INSTANCE_NAMES", "METHOD_NAMES", "TESTED", "entry", "missing", "refusal", "warning"]

TESTED = ((0, 27), (0, 32))
"""The first and the last minor version."""

ENTRIES = ("vllm.entrypoints.launchers.api_server.entry", "vllm.entrypoints.openai.api_server")
"""Modules that serve vLLM's API, the newer one first: up to 0.28 there is only the second, and later it is deprecated.
The `vllm` script serves nobody here: it looks for a distribution named vllm, which the CPU build is not."""

METHOD_NAMES = (
    "add_request",
    "schedule",
    "update_from_output",
    "finish_requests",
    "_preempt_request",
    "_free_request_blocks",
)
"""Of the scheduler's class; overridden or called."""

INSTANCE_NAMES = (
    "requests",
    "running",
    "waiting.add_request",
    "waiting.remove_request",
    "block_size",
    "lora_config",
    "finished_recving_kv_req_ids",
    "max_num_active_reqs|max_num_running_reqs",
    "num_waiting_for_streaming_input",
    "prev_step_scheduled_req_ids",
    "pause_state",
    "kv_cache_config.kv_cache_groups",
    "kv_cache_manager.usage",
    "kv_cache_manager.enable_caching",
    "kv_cache_manager.get_block_ids",
    "kv_cache_manager.get_blocks",
    "kv_cache_manager.block_pool.get_num_free_blocks",
    "kv_cache_manager.block_pool.get_cached_block",
)
"""Of a scheduler that is built. Of ``new|old`` one is enough: the later name, and what it was before."""


def entry(packages: Iterable[str]) -> str:
    """The module of :data:`ENTRIES` that vLLM has. ``packages`` are its package's folders: importing it takes long."""
    files = {name: [Path(folder, *name.split(".")[1:]) for folder in packages] for name in ENTRIES}
    there = (name for name, found in files.items() if any(each.with_suffix(".py").is_file() for each in found))
    return next(there, ENTRIES[0])


def warning(version: str) -> str | None:
    """What to know of a version outside the tested range; None inside it."""
    first, last = (".".join(map(str, each)) for each in TESTED)
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is not None and TESTED[0] <= (int(found[1]), int(found[2])) <= TESTED[1]:
        return None
    return (
        f"vLLM {version} is outside the range that Autellix was tested with ({first} to {last}): whether outputs stay "
        "the same through preemption and resumption, with scheduling some steps ahead, under a full KV cache and with "
        "aborts, and whether service and wait are measured right, nobody has compared on it."
    )


def missing(thing: object, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the (dotted, or alternative) names that ``thing`` lacks."""

    def lacks(name: str) -> bool:
        at = thing
        for part in name.split("."):
            if not hasattr(at, part):
                return True
            at = getattr(at, part)
        return False

    return tuple(name for name in names if all(map(lacks, name.split("|"))))


def refusal(version: str, lacking: Sequence[str]) -> str | None:
    """Why an engine of this version cannot start, if anything is lacking."""
    if not lacking:
        return None
    first, last = (".".join(map(str, each)) for each in TESTED)
    return (
        f"vLLM {version}'s scheduler has no {', '.join(lacking)}, which Autellix relies on: install vLLM {first} to "
        f"{last}, or start this version without --scheduler-cls."
    )
