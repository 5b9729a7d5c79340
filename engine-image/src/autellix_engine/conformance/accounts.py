"""What an engine says a call cost: the report adds up, and an abort is not forgotten."""

import asyncio
from typing import Any

from autellix_core.errors import MalformedReport
from autellix_core.priority import Policy
from autellix_core.wire import Report
from autellix_engine.conformance.calls import Call
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.scenes import full_batch, shortly
from autellix_engine.conformance.verdicts import Failed, expect

__all__ = ["abort_folds_service", "report_adds_up"]

_SHARE = 0.3
"""Of a call's observed time that its report may leave unexplained, beside the overhead of an idle engine."""

_PATIENCE_S = 15.0


async def report_adds_up(engine: Engine) -> str:
    """Wait and service are the call's time in the engine, and its tokens are those that it got."""
    async with full_batch(engine) as holders:
        better = await engine.caller.stream(engine.call(shortly(engine)))
    async with full_batch(engine, policy=Policy.FCFS) as served:
        late = await engine.caller.stream(engine.call(shortly(engine), policy=Policy.FCFS))
    for call in (better, late, *holders, *served):
        _adds_up(engine, call)
    return (
        f"the report of a call that took {late.observed_s:.2f} s says {late.reported.wait_s:.2f} s of waiting and "
        f"{late.reported.service_s:.2f} s of service"
    )


def _adds_up(engine: Engine, call: Call) -> None:
    report = call.reported
    expect(report.call == call.headers.call, f"A report names the call {report.call!r}, not {call.headers.call!r}.")
    expect(
        report.output_tokens == call.tokens,
        f"A call that got {call.tokens} tokens reports {report.output_tokens}; the engine must honour ignore_eos.",
    )
    expect(report.prompt_tokens > 0, "A call reports a prompt of 0 tokens.")
    told_s, slack_s = report.wait_s + report.service_s, 0.1 + 4 * engine.overhead_s + _SHARE * call.observed_s
    expect(
        told_s <= call.observed_s + 0.05,
        f"A call that took {call.observed_s:.2f} s reports more: {report.wait_s:.2f} s of waiting and "
        f"{report.service_s:.2f} s of service.",
    )
    expect(
        told_s >= call.observed_s - slack_s,
        f"A call that took {call.observed_s:.2f} s reports {report.wait_s:.2f} s of waiting and {report.service_s:.2f} "
        f"s of service; no more than {slack_s:.2f} s may be missing.",
    )


async def abort_folds_service(engine: Engine) -> str:
    """A call whose client left is accounted in the state, and is gone from the engine."""
    call = engine.call(engine.tokens(30.0))
    task = asyncio.create_task(engine.caller.stream(call))
    begun = asyncio.create_task(call.begun.wait())
    await asyncio.wait((task, begun), return_when=asyncio.FIRST_COMPLETED, timeout=_PATIENCE_S)
    begun.cancel()
    if task.done():
        task.result()
        raise Failed("A call meant to be aborted ended at once; the engine must honour ignore_eos.")
    await asyncio.sleep(5 * engine.token_s)
    task.cancel()
    await asyncio.wait((task,))
    entry = await _kept(engine, call.headers.call)
    try:
        report = Report.from_mapping(entry.get("report"))
    except MalformedReport as error:
        raise Failed(str(error)) from error
    expect(
        entry.get("program") == call.headers.program,
        f"An aborted call of the program {call.headers.program!r} is kept as {entry.get('program')!r}'s.",
    )
    expect(report.service_s > 0, "An aborted call that had been served reports 0 s of service.")
    expect(
        0 < report.output_tokens < call.tokens,
        f"A call that was aborted after a few of {call.tokens} tokens reports {report.output_tokens}.",
    )
    return f"{report.service_s:.3f} s of service and {report.output_tokens} tokens of an aborted call were kept"


async def _kept(engine: Engine, call: str) -> dict[str, Any]:
    for _ in range(round(_PATIENCE_S / 0.02)):
        state = await engine.state()
        for entry in state["aborted"]:
            if entry["report"]["call"] == call:
                kept: dict[str, Any] = entry
                return kept
        if not state["running"] and not state["waiting"]:
            break
        await asyncio.sleep(0.02)
    raise Failed("The client of a served call left, and no report of the call is among `aborted` in the state.")
