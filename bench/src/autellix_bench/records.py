"""What a run leaves behind: a line of JSON a call, read by every table and picture, whoever served the calls.

A simulated run and a live one leave the same records; what a system does not say of itself stays ``None``.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import IO, Any

from autellix_core.latency import Span, program_token_latency_s, response_time_s

__all__ = ["CallRecord", "ProgramRecord", "by_program", "read", "write"]


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call as its program saw it, and what the system said of it. Times are seconds since the load began."""

    program: str
    workload: str
    call: str
    program_arrival_s: float
    due_s: float
    """When it was to be sent: its program's arrival or its parents' answers, and its gap."""
    sent_s: float
    ended_s: float
    output_tokens: int
    prompt_tokens: int
    first_token_s: float | None = None
    engine: str | None = None
    service_s: float | None = None
    wait_s: float | None = None
    level: int | None = None
    """At its end."""
    preemptions: int | None = None
    cached_tokens: int | None = None
    error: str | None = None
    """Why it failed. A program with such a call has failed."""


@dataclass(frozen=True, slots=True)
class ProgramRecord:
    """One program, from the records of its calls."""

    program: str
    workload: str
    arrival_s: float
    ended_s: float
    response_s: float
    """Time with at least one call under way: tools and people are not in it."""
    output_tokens: int
    token_latency_s: float
    """The paper's measure (section 6): response time over the tokens of all threads."""
    calls: int
    failed: bool


def by_program(calls: Iterable[CallRecord]) -> list[ProgramRecord]:
    """One record a program, in order of arrival."""
    grouped: dict[str, list[CallRecord]] = {}
    for call in calls:
        grouped.setdefault(call.program, []).append(call)
    records = [_program(group) for group in grouped.values()]
    return sorted(records, key=lambda record: (record.arrival_s, record.program))


def write(calls: Iterable[CallRecord], to: IO[str]) -> None:
    """One line of JSON a call; the same records give the same bytes."""
    for call in calls:
        to.write(json.dumps(asdict(call), separators=(",", ":"), sort_keys=True) + "\n")


def read(lines: Iterable[str]) -> Iterator[CallRecord]:
    """The records of a file.

    :raises ValueError: with the line's number, if one is none.
    """
    names = {field.name for field in fields(CallRecord)}
    for number, line in enumerate(lines, start=1):
        try:
            values: dict[str, Any] = json.loads(line)
            yield CallRecord(**{name: value for name, value in values.items() if name in names})
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"Line {number} is no record of a call: {error}") from error


def _program(calls: list[CallRecord]) -> ProgramRecord:
    spans = [Span(call.due_s, call.ended_s, call.output_tokens) for call in calls]
    first = calls[0]
    return ProgramRecord(
        program=first.program,
        workload=first.workload,
        arrival_s=first.program_arrival_s,
        ended_s=max(call.ended_s for call in calls),
        response_s=response_time_s(spans),
        output_tokens=sum(call.output_tokens for call in calls),
        token_latency_s=program_token_latency_s(spans),
        calls=len(calls),
        failed=any(call.error is not None for call in calls),
    )
