"""Programs out of OpenTelemetry's spans: which calls, who waits for whom, and what prompts are taken to be."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.programs import Program, Segment, flaw
from autellix_bench.replay import otel
from bench_spans import export, span


def programs(text: str, *, model: str | None = None) -> list[Program]:
    found = list(otel(io.StringIO(text), model=model))
    assert [flaw(program) for program in found] == [None] * len(found)
    return found


def parents(program: Program) -> dict[str, tuple[str, ...]]:
    return {call.id: call.parents for call in program.calls}


def test_a_loop_of_calls_and_tools_is_a_thread() -> None:
    [program] = programs(
        export(
            span("agent", 0, 10, gen_ai__operation__name="invoke_agent"),
            span("c1", 1, 2, inside="agent", tokens=(100, 20)),
            span("tool", 2, 4, inside="agent", gen_ai__operation__name="execute_tool"),
            span("c2", 4.5, 6, inside="agent", tokens=(150, 30)),
            span("c3", 6, 7, inside="agent", tokens=(180, 5)),
        )
    )
    assert (program.id, program.workload, program.arrival_s) == ("t1", "otel", 0.0)
    assert parents(program) == {"0": (), "1": ("0",), "2": ("1",)}
    assert [call.gap_s for call in program.calls] == [0, 2.5, 0]
    assert [call.prompt_tokens for call in program.calls] == [100, 150, 180]
    assert [call.output_tokens for call in program.calls] == [20, 30, 5]
    second = (Segment("new/0", 100), Segment("0", 20, answer=True), Segment("new/1", 30))
    assert program.calls[1].prompt == second
    assert program.calls[2].prompt == (*second, Segment("1", 30, answer=True))


def test_calls_side_by_side_join_in_the_next() -> None:
    [program] = programs(
        export(
            span("plan", 0, 1, tokens=(10, 1)),
            span("left", 1, 3, tokens=(10, 1)),
            span("right", 1.5, 2, tokens=(10, 1)),
            span("end", 4, 5, tokens=(10, 1)),
        )
    )
    assert parents(program) == {"0": (), "1": ("0",), "2": ("0",), "3": ("1", "2")}
    assert [call.gap_s for call in program.calls] == [0, 0, 0.5, 1]


def test_branches_side_by_side_do_not_wait_for_one_another() -> None:
    """By their times alone b's second call would wait for a's first."""
    [program] = programs(
        export(
            span("agent", 0, 20),
            span("a", 1, 9, inside="agent"),
            span("a1", 1, 2, inside="a", tokens=(50, 1)),
            span("a2", 5, 9, inside="a", tokens=(60, 1)),
            span("b", 1, 8, inside="agent"),
            span("b1", 1, 3, inside="b", tokens=(70, 1)),
            span("b2", 4, 8, inside="b", tokens=(80, 1)),
            span("end", 9, 10, inside="agent", tokens=(10, 1)),
        )
    )
    a1, b1, b2, a2, end = program.calls
    assert (b2.parents, a2.parents) == ((b1.id,), (a1.id,))
    assert set(end.parents) == {a2.id, b2.id}
    assert a2.prompt[0] == a1.prompt[0] != b1.prompt[0] == b2.prompt[0]  # each agent has a history of its own
    assert end.prompt == (Segment("new/4", 10),)


def test_what_an_agent_forgot_is_not_in_its_next_prompt() -> None:
    [program] = programs(export(span("c1", 0, 1, tokens=(100, 20)), span("c2", 2, 3, tokens=(119, 1))))
    assert program.calls[1].prompt == (Segment("new/1", 119),)


def test_traces_of_one_conversation_are_one_program() -> None:
    found = programs(
        export(
            span("turn", 0, 3, trace="t1", gen_ai__conversation__id="talk"),
            span("c1", 1, 2, trace="t1", inside="turn", tokens=(10, 5)),  # named by the span that it is in
            span("other", 3, 4, trace="t3", tokens=(10, 5)),
        )
        + export(
            span("turn", 9, 12, trace="t2"),
            span("c2", 10, 11, trace="t2", inside="turn", tokens=(40, 5), gen_ai__conversation__id="talk"),
        )
    )
    assert [(program.id, len(program.calls), program.arrival_s) for program in found] == [("talk", 2, 0), ("t3", 1, 2)]
    second = found[0].calls[1]
    assert (second.parents, second.gap_s) == (("0",), 8)
    assert second.prompt == (Segment("new/0", 10), Segment("0", 5, answer=True), Segment("new/1", 25))


def test_only_answered_calls_of_the_model_count() -> None:
    text = export(
        span("embedding", 0, 1, tokens=(10, 1), gen_ai__operation__name="embeddings"),
        span("failed", 0, 1, gen_ai__operation__name="chat"),
        span("empty", 0, 1, tokens=(10, 0)),
        span("old", 2, 3, gen_ai__operation__name="text_completion", gen_ai__usage__prompt_tokens=7)
        | {"attributes": span("", 0, 0, gen_ai__operation__name="chat", gen_ai__usage__prompt_tokens=7,
                              gen_ai__usage__completion_tokens="3.0")["attributes"]},
        span("small", 4, 5, tokens=(10, 1), gen_ai__request__model="small"),
        span("large", 6, 7, tokens=(10, 1)),
    )  # fmt: skip
    [program] = programs(text)
    assert [(call.prompt_tokens, call.output_tokens) for call in program.calls] == [(7, 3), (10, 1), (10, 1)]
    [program] = programs(text, model="m")
    assert len(program.calls) == 1


def test_a_file_may_be_one_document_and_arrivals_may_be_new(tmp_path: Path) -> None:
    path = tmp_path / "spans.json"
    spans = [span(f"c{number}", number, number + 0.5, trace=f"t{number}", tokens=(10, 1)) for number in range(20)]
    path.write_text(export(*spans, indent=2))
    assert [program.arrival_s for program in otel(path)] == list(range(20))
    slow, fast = ([program.arrival_s for program in otel(path, rate=rate, seed=3)] for rate in (1.0, 4.0))
    assert slow == pytest.approx([4 * arrival for arrival in fast])
    assert slow != list(range(20))


def test_a_span_whose_outer_ones_are_in_a_circle_is_read() -> None:
    [program] = programs(export(span("a", 0, 9, inside="b"), span("b", 0, 9, inside="a"),
                                span("c", 1, 2, inside="a", tokens=(10, 1))))  # fmt: skip
    assert len(program.calls) == 1


@given(
    st.lists(
        st.tuples(st.integers(0, 20), st.integers(0, 6), st.integers(0, 3), st.integers(1, 50), st.integers(1, 9)),
        min_size=1,
        max_size=12,
    )
)
def test_calls_answered_as_fast_as_recorded_are_sent_when_they_were(
    given: list[tuple[int, int, int, int, int]],
) -> None:
    agents = [span(f"agent{number}", 3 * number, 3 * number + 9) for number in range(4)]
    recorded = sorted(
        (start, start + long, f"c{number}", agent, tokens, output)
        for number, (start, long, agent, tokens, output) in enumerate(given)
    )
    calls = [
        span(name, start, end, inside=f"agent{agent}", tokens=(tokens, output))
        for start, end, name, agent, tokens, output in recorded
    ]
    [program] = programs(export(*agents, *calls))
    first, answered_s = recorded[0][0], dict[str, float]()
    for call, (start, end, _, _, tokens, output) in zip(program.calls, recorded, strict=True):
        sent_s = max((answered_s[parent] for parent in call.parents), default=first) + call.gap_s
        assert sent_s == start
        assert (call.prompt_tokens, call.output_tokens) == (tokens, output)
        answered_s[call.id] = sent_s + (end - start)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{}\n{", "Line 2 is no JSON, let alone spans in OTLP JSON"),
        ("[]", "Line 1 is no export of spans in OTLP JSON: An export must be an object, not []"),
        ('{"resourceSpans": 3}', "resourceSpans must be an array, not 3"),
        ('{"resourceSpans": [{"scopeSpans": [{"spans": [{}]}]}]}', "startTimeUnixNano must be a whole number"),
        (export(span("c", 0, 1, gen_ai__usage__input_tokens="many")), "must be a whole number, not 'many'"),
    ],
)
def test_what_is_no_export_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="no") as caught:
        list(otel(io.StringIO(text)))
    assert sentence in str(caught.value)


def test_a_file_without_calls_has_no_programs() -> None:
    assert programs(export(span("agent", 0, 1))) == []
