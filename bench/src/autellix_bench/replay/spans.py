"""Programs from OpenTelemetry's GenAI spans: OTLP JSON as exporters and collectors write it, one document or one a
line.

A call is a span with ``gen_ai.operation.name`` ``chat``, ``text_completion`` or ``generate_content`` and with
``gen_ai.usage.input_tokens`` and ``output_tokens`` of at least 1; one without (a failed call, say) is left out. Calls
with one ``gen_ai.conversation.id``, on the span or on one that it is in, are a program; without one, the calls of a
trace are.

*Who waited for whom* spans do not say; times and nesting do. A call depends on every call that had ended before it
began, unless the two were in branches that ran side by side: below the innermost span that holds both, the spans that
hold the one and the other must have followed one another. Its parents are those that no other of them depends on, and
its gap is the time since the last of those ended.

*What prompts were made of* they do not say either. An agent is taken to repeat itself: a prompt begins with that of
the last call under the same span, or else of the last one in an earlier trace of the conversation, and its answer, if
it is long enough, and what is longer is new. Otherwise all of it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from autellix_bench.arrivals import arriving
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.replay.fields import listed, mapping, text
from autellix_bench.replay.files import Source, documents

__all__ = ["otel"]

_OPERATIONS = frozenset({"chat", "text_completion", "generate_content"})


@dataclass(frozen=True, slots=True)
class _Span:
    trace: str
    id: str
    parent: str
    """Empty: none."""
    start_ns: int
    end_ns: int
    operation: str
    model: str
    conversation: str
    """Empty: none, as it is where no model or operation is named."""
    input_tokens: int
    output_tokens: int


_Spans = Mapping[tuple[str, str], _Span]
"""By trace and id."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A span that is a call, with the spans that it is in, from the outermost, and itself."""

    span: _Span
    branch: tuple[_Span, ...]

    def follows(self, other: _Asked) -> bool:
        """The other had ended, and they were not in branches side by side."""
        if other.span.end_ns > self.span.start_ns:
            return False
        for mine, others in zip(self.branch, other.branch, strict=False):
            if mine is not others:
                return others.end_ns <= mine.start_ns
        return True


def otel(
    source: Source, *, workload: str = "otel", model: str | None = None, rate: float | None = None, seed: int = 0
) -> Iterator[Program]:
    """The file's programs, in order of arrival. The file is read whole.

    :param model: only calls to this one (``gen_ai.request.model``); time with others is part of the gaps then.
    :param rate: arrivals by a Poisson process of this rate instead of the recorded ones, which count from the first.
    :raises ValueError: saying where, if the file is none of this kind.
    """
    spans = {(span.trace, span.id): span for span in _spans(source)}
    programs: dict[str, list[_Asked]] = {}
    for span in sorted(spans.values(), key=lambda span: (span.start_ns, span.end_ns, span.trace, span.id)):
        asked = span.operation in _OPERATIONS and min(span.input_tokens, span.output_tokens) > 0
        if asked and model in (None, span.model):
            branch = _branch(span, spans)
            named = next((inner.conversation for inner in reversed(branch) if inner.conversation), span.trace)
            programs.setdefault(named, []).append(_Asked(span, branch))
    origin_ns = min((calls[0].span.start_ns for calls in programs.values()), default=0)
    found = (_program(name, workload, calls, origin_ns) for name, calls in programs.items())
    return arriving(found, rate=rate, seed=seed)


def _branch(span: _Span, spans: _Spans) -> tuple[_Span, ...]:
    branch = [span]
    while (outer := spans.get((span.trace, branch[-1].parent))) is not None and outer not in branch:
        branch.append(outer)
    return tuple(reversed(branch))


def _program(name: str, workload: str, asked: Sequence[_Asked], origin_ns: int) -> Program:
    begin_ns = asked[0].span.start_ns
    before: list[int] = []
    """By call, those that it depends on, as bits."""
    calls: list[Call] = []
    for number, call in enumerate(asked):
        earlier = [other for other in range(number) if call.follows(asked[other])]
        covered = 0
        for other in earlier:
            covered |= before[other]
        parents = [other for other in earlier if not covered >> other & 1]
        before.append(sum(1 << other for other in earlier))
        ended_ns = max((asked[parent].span.end_ns for parent in parents), default=begin_ns)
        calls.append(
            Call(
                id=str(number),
                prompt=_prompt(number, asked, earlier, calls),
                output_tokens=call.span.output_tokens,
                parents=tuple(str(parent) for parent in parents),
                gap_s=(call.span.start_ns - ended_ns) / 1e9,
            )
        )
    return Program(name, workload, (begin_ns - origin_ns) / 1e9, tuple(calls))


def _prompt(number: int, asked: Sequence[_Asked], earlier: Sequence[int], calls: Sequence[Call]) -> tuple[Segment, ...]:
    span = asked[number].span
    same_place = [other for other in earlier if _place(asked[other].span) == _place(span)]
    other_trace = [other for other in earlier if asked[other].span.trace != span.trace]
    for repeated in (same_place or other_trace)[-1:]:
        call = calls[repeated]
        if (new := span.input_tokens - call.prompt_tokens - call.output_tokens) >= 0:
            answer = Segment(call.id, call.output_tokens, answer=True)
            return (*call.prompt, answer, *([Segment(f"new/{number}", new)] if new else []))
    return (Segment(f"new/{number}", span.input_tokens),)


def _place(span: _Span) -> tuple[str, str]:
    return span.trace, span.parent


def _spans(source: Source) -> Iterator[_Span]:
    for where, document in documents(source, "spans in OTLP JSON"):
        try:
            for resource in _listed(mapping(document, "An export"), "resourceSpans"):
                for scope in _listed(resource, "scopeSpans"):
                    for span in _listed(scope, "spans"):
                        yield _span(span)
        except ValueError as error:
            raise ValueError(f"{where} is no export of spans in OTLP JSON: {error}") from error


def _listed(holder: Mapping[str, object], name: str) -> Iterator[Mapping[str, object]]:
    return (mapping(entry, f"An entry of {name}") for entry in listed(holder.get(name, []), name))


def _span(given: Mapping[str, object]) -> _Span:
    attributes: dict[str, object] = {}
    for entry in _listed(given, "attributes"):
        values = mapping(entry.get("value", {}), "The value of an attribute")
        attributes[text(entry.get("key"), "key of an attribute")] = next(iter(values.values()), None)

    def named(*names: str) -> str:
        return next((str(attributes[name]) for name in names if name in attributes), "")

    start_ns, end_ns = _integer(given, "startTimeUnixNano"), _integer(given, "endTimeUnixNano")
    return _Span(
        trace=text(given.get("traceId"), "traceId"),
        id=text(given.get("spanId"), "spanId"),
        parent=text(given.get("parentSpanId", ""), "parentSpanId"),
        start_ns=start_ns,
        end_ns=max(start_ns, end_ns),
        operation=named("gen_ai.operation.name"),
        model=named("gen_ai.request.model"),
        conversation=named("gen_ai.conversation.id"),
        # The second names are those of conventions before 1.27, which some instrumentations still write.
        input_tokens=_count(named("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")),
        output_tokens=_count(named("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")),
    )


def _integer(given: Mapping[str, object], name: str) -> int:
    """OTLP JSON writes 64-bit integers as decimal text; some write numbers."""
    value = given.get(name)
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdecimal():
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
    return int(value)


def _count(value: str) -> int:
    value = value.removesuffix(".0")  # some exporters have no integers
    if value and not value.isdecimal():
        raise ValueError(f"A count of tokens must be a whole number, not {value!r}.")
    return int(value or 0)
