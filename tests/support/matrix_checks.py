"""What must be true at the end of a walk. Each finding is one sentence; none is what is wanted."""

from collections.abc import Iterator
from math import isclose

from matrix_engine import Call
from matrix_runner import alone
from matrix_walk import Walked

__all__ = ["findings"]


def findings(walked: Walked) -> list[str]:
    """All that is wrong."""
    if walked.raised is not None:
        return [f"the engine raised {walked.raised}", *_adapter(walked)]
    found = [*_adapter(walked), *_left_behind(walked)]
    aborted = {each["report"]["call"]: each["report"] for each in _state(walked)["aborted"]}
    for call in walked.engine.calls.values():
        call.report = call.report or aborted.get(call.name)
        found += _of(call, aborted=call.name in aborted)
    return found


def _state(walked: Walked) -> dict:  # type: ignore[type-arg]
    return walked.engine.scheduler.autellix_state()  # type: ignore[no-any-return]


def _adapter(walked: Walked) -> Iterator[str]:
    for what, count in _state(walked)["counts"]["failures"].items():
        yield f"{what} failed {count} times"


def _left_behind(walked: Walked) -> Iterator[str]:
    scheduler, blocks = walked.engine.scheduler, walked.engine.lane.blocks
    pool = scheduler.kv_cache_manager.block_pool
    free = pool.get_num_free_blocks()
    if free != blocks - 1:  # one is vLLM's own, for padding
        yield f"{blocks - 1 - free} KV blocks are not free"
    if any(block.ref_cnt for block in pool.blocks if not block.is_null):
        yield "a free KV block is still counted as held"
    names = ("requests", "running", "waiting", "skipped_waiting", "kv_holding_waiting", "deferred_waiting")
    for name in names:
        if len(getattr(scheduler, name, ())):
            yield f"vLLM's {name} is not empty"
    if walked.engine.runner.held:
        yield f"the model runner still holds {', '.join(sorted(walked.engine.runner.held))}"
    state = _state(walked)
    if len(scheduler._queues) or len(scheduler._ledger) or state["running"] or state["waiting"]:
        yield "the adapter's queues are not empty"


def _of(call: Call, *, aborted: bool) -> Iterator[str]:
    wanted = alone(call.prompt, most_tokens=call.most_tokens, ends=call.ends)
    if call.ended is None:
        yield f"{call.name} did not end"
    if call.answer != (wanted[: len(call.answer)] if aborted else wanted):
        yield f"{call.name} answered otherwise than alone: {call.answer} for {wanted}"
    if call.report is None:
        yield f"{call.name} has no report"
        return
    for name, measured in (("service_s", call.ran_s), ("wait_s", call.waited_s)):
        if not isclose(call.report[name], measured, abs_tol=1e-6):
            yield f"{call.name} reports {name} {call.report[name]}, but it was {measured}"
    counted = {"preemptions": call.preemptions, "output_tokens": len(call.answer), "prompt_tokens": len(call.prompt)}
    for name, count in counted.items():
        if call.report[name] != count:
            yield f"{call.name} reports {name} {call.report[name]}, but there were {count}"
