"""The form of it: where reports go, and headers that mean harm."""

from autellix_core.wire import (
    CALL_HEADER,
    POLICY_HEADER,
    PROGRAM_HEADER,
    PROGRAM_SERVICE_HEADER,
    PROGRAM_WAIT_HEADER,
    REPORT_COMMENT,
    REPORT_HEADER,
    SERVICE_HEADER,
)
from autellix_engine.conformance.calls import headers
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.verdicts import Failed, expect

__all__ = ["hostile_headers", "reports_in_place"]

_HOSTILE: tuple[dict[str, str], ...] = (
    {SERVICE_HEADER: "nan"},
    {SERVICE_HEADER: "-1e999"},
    {SERVICE_HEADER: "1e300"},
    {SERVICE_HEADER: "9" * 5000},
    {SERVICE_HEADER: "__import__('os')"},
    {PROGRAM_WAIT_HEADER: "inf", PROGRAM_SERVICE_HEADER: "-0"},
    {POLICY_HEADER: "'; DROP TABLE programs"},
    {PROGRAM_HEADER: "p" * 8000},
    {CALL_HEADER: "c" * 8000},
    {REPORT_HEADER: "{}"},
)


async def reports_in_place(engine: Engine) -> str:
    """A stream ends with the report after [DONE]; a whole response has it as a header; a plain call has neither."""
    call = await engine.caller.stream(engine.call(3))
    expect(
        len(call.tail) == 2 and call.tail[0] == "data: [DONE]" and call.tail[1].startswith(REPORT_COMMENT),
        f"A stream must end with the line `data: [DONE]` and then `{REPORT_COMMENT.strip()} {{report}}`, "
        f"not with {[line[:60] for line in call.tail]}.",
    )
    sent = headers()
    status, answer, report = await engine.caller.whole(sent.to_headers(), "A whole answer.", 3)
    expect(status == 200, f"A plain call was answered with status {status}: {str(answer)[:200]}")
    if report is None:
        raise Failed(f"A whole response must carry the report in the header {REPORT_HEADER}; it has none.")
    expect(report.call == sent.call, f"The report names the call {report.call!r}, not {sent.call!r}.")
    usage = answer.get("usage") or {}
    expect(
        (report.prompt_tokens, report.output_tokens) == (usage.get("prompt_tokens"), usage.get("completion_tokens")),
        f"The report counts {report.prompt_tokens} + {report.output_tokens} tokens, but the response's usage {usage}.",
    )
    _, _, unasked = await engine.caller.whole({}, "A stranger's.", 2)
    lines = await engine.caller.lines({}, "A stranger's.", 2)
    expect(
        unasked is None and lines[-1:] == ["data: [DONE]"],
        "A call without x-autellix-call must be answered as by an engine without the contract, but it got a report.",
    )
    return "after [DONE], in the header, and none where none was asked for"


async def hostile_headers(engine: Engine) -> str:
    """Headers with absurd values change neither the answer nor the engine's health."""
    prompt = "The same text, whatever the headers say."
    _, plain, _ = await engine.caller.whole(headers().to_headers(), prompt, 8)
    for hostile in _HOSTILE:
        name, value = next(iter(hostile.items()))
        said = f"`{name}: {value[:24]}`"
        status, answer, report = await engine.caller.whole({**headers().to_headers(), **hostile}, prompt, 8)
        expect(status == 200, f"A call with {said} must be served; it was answered with status {status}.")
        expect(
            answer["choices"][0]["text"] == plain["choices"][0]["text"],
            f"A call with {said} must get the text that it gets without.",
        )
        if report is not None:
            expect(
                0 <= report.level < engine.levels.count,
                f"A call with {said} reports level {report.level}; there are {engine.levels.count}.",
            )
    await engine.settled()
    return f"{len(_HOSTILE)} absurd headers changed nothing"
