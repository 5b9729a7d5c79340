"""The replay format itself, which :mod:`autellix_bench.replay` describes, written and read."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import IO

from autellix_bench.programs import Call, Program, Segment, flaw
from autellix_bench.replay.fields import listed, mapping, number, text, whole

__all__ = ["read", "write"]


def write(programs: Iterable[Program], to: IO[str]) -> None:
    """One line a program; the same programs give the same bytes. A prompt that grows is written by what it adds."""
    for program in programs:
        earlier: dict[str, Call] = {}
        calls: list[dict[str, object]] = []
        for call in program.calls:
            calls.append(_written(call, earlier))
            earlier[call.id] = call
        line = {"id": program.id, "workload": program.workload, "arrival_s": program.arrival_s, "calls": calls}
        to.write(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n")


def read(lines: Iterable[str]) -> Iterator[Program]:
    """The programs of a file, lazily.

    :raises ValueError: with the line's number, if one is no program or its id was there before.
    """
    ids: set[str] = set()
    for at, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            program = _program(json.loads(line))
            problem = flaw(program)
            if program.id in ids:
                problem = f"The id {program.id!r} was there before."
        except ValueError as error:
            raise ValueError(f"Line {at} is no program: {error}") from error
        if problem is not None:
            raise ValueError(f"Line {at} is no program: {problem}")
        ids.add(program.id)
        yield program


def _written(call: Call, earlier: Mapping[str, Call]) -> dict[str, object]:
    written: dict[str, object] = {"id": call.id, "output_tokens": call.output_tokens}
    if call.parents:
        written["parents"] = call.parents
    if call.gap_s:
        written["gap_s"] = call.gap_s
    extended = _extended(call, earlier)
    if extended is not None:
        written["extends"] = extended.id
    new = call.prompt if extended is None else call.prompt[len(extended.prompt) + 1 :]
    written["prompt"] = [_written_segment(segment) for segment in new]
    return written


def _written_segment(segment: Segment) -> dict[str, object]:
    written: dict[str, object] = {"key": segment.key, "tokens": segment.tokens}
    return {**written, "answer": True} if segment.answer else written


def _extended(call: Call, earlier: Mapping[str, Call]) -> Call | None:
    """The call whose prompt and answer this one's begins with, by the last answer in it."""
    for index in range(len(call.prompt) - 1, -1, -1):
        segment = call.prompt[index]
        if segment.answer:
            asked = earlier.get(segment.key)
            whole_answer = asked is not None and asked.output_tokens == segment.tokens
            return asked if whole_answer and asked is not None and asked.prompt == call.prompt[:index] else None
    return None


def _program(line: object) -> Program:
    given = mapping(line, "A program")
    calls: dict[str, Call] = {}
    for entry in listed(given.get("calls"), "calls"):
        call = _call(mapping(entry, "A call"), calls)
        if call.id in calls:
            raise ValueError(f"Two calls have the id {call.id!r}.")
        calls[call.id] = call
    return Program(
        id=text(given.get("id"), "id"),
        workload=text(given.get("workload"), "workload"),
        arrival_s=number(given.get("arrival_s"), "arrival_s"),
        calls=tuple(calls.values()),
    )


def _call(given: Mapping[str, object], calls: Mapping[str, Call]) -> Call:
    name = text(given.get("id"), "id of a call")
    of = f"of call {name!r}"
    begin: tuple[Segment, ...] = ()
    if (extends := given.get("extends")) is not None:
        extended = calls.get(text(extends, f"extends {of}"))
        if extended is None:
            raise ValueError(f"Call {name!r} extends {extends!r}, which is no call before it.")
        begin = (*extended.prompt, Segment(extended.id, extended.output_tokens, answer=True))
    return Call(
        id=name,
        prompt=(*begin, *(_segment(segment, of) for segment in listed(given.get("prompt", []), f"prompt {of}"))),
        output_tokens=whole(given.get("output_tokens"), f"output_tokens {of}"),
        parents=tuple(text(parent, f"A parent {of}") for parent in listed(given.get("parents", []), f"parents {of}")),
        gap_s=number(given.get("gap_s", 0.0), f"gap_s {of}"),
    )


def _segment(value: object, of: str) -> Segment:
    given = mapping(value, f"A segment {of}")
    answer = given.get("answer", False)
    if not isinstance(answer, bool):
        raise ValueError(f"answer {of} must be true or false, not {answer!r}.")
    return Segment(text(given.get("key"), f"key {of}"), whole(given.get("tokens"), f"tokens {of}"), answer)
