"""The replay format: what is written is what is read, what others may write, and which line is wrong."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench import replay
from autellix_bench.programs import Call, Program, Segment, flaw
from autellix_bench.workloads import WORKLOADS, generate

TIMES = st.floats(0, 1e6)
TOKENS = st.integers(1, 100_000)
NAMES = st.text(alphabet='ab/é"\n', max_size=4)


def written(*programs: Program) -> str:
    file = io.StringIO()
    replay.write(programs, file)
    return file.getvalue()


def read(text: str) -> list[Program]:
    return list(replay.read(io.StringIO(text)))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any valid one: any earlier calls as parents, prompts that go on from one, repeat parts of it or are new."""
    calls: list[Call] = []
    ancestors: dict[str, set[str]] = {}
    for name in draw(st.lists(NAMES, min_size=1, max_size=6, unique=True)):
        parents = draw(st.lists(st.sampled_from(calls), unique_by=lambda call: call.id, max_size=3)) if calls else []
        before = {call.id for call in parents}.union(*(ancestors[call.id] for call in parents))
        ancestors[name] = before
        prompt: tuple[Segment, ...] = ()
        if before:
            asked = draw(st.sampled_from([call for call in calls if call.id in before]))
            tokens = draw(st.sampled_from([asked.output_tokens, 7]))
            prompt = (*asked.prompt[: draw(st.integers(0, 9))], Segment(asked.id, tokens, answer=True))
            prompt = tuple(segment for segment in prompt if not segment.answer or segment.key in before)
        new = draw(st.lists(st.builds(Segment, key=NAMES, tokens=TOKENS), min_size=not prompt, max_size=3))
        ids = tuple(call.id for call in parents)
        calls.append(Call(name, (*prompt, *new), draw(TOKENS), ids, draw(TIMES)))
    return Program(draw(NAMES), draw(NAMES), draw(TIMES), tuple(calls))


@given(st.lists(programs(), max_size=4, unique_by=lambda program: program.id))
def test_what_is_written_is_read(given: list[Program]) -> None:
    assert [flaw(program) for program in given] == [None] * len(given)
    text = written(*given)
    assert text.count("\n") == len(given)
    assert read(text) == given


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(WORKLOADS), st.integers(0, 99))
def test_drawn_programs_are_read_as_they_were(workload: str, seed: int) -> None:
    drawn = list(generate(workload, rate=1, programs=2, seed=seed, context_tokens=8192))
    assert read(written(*drawn)) == drawn


def test_a_history_is_written_once() -> None:
    sessions = generate("agentic", rate=1, programs=20, seed=1)
    session = max(sessions, key=lambda session: len(session.calls))
    assert len(session.calls) > 100
    segments = written(session).count('"key"')
    assert segments <= 1.1 * len(session.calls)  # one new segment a call, and a system prompt at each beginning


def test_a_file_written_by_hand_is_read() -> None:
    text = """
{"id": "p1", "workload": "chat", "arrival_s": 0.5, "note": "ignored", "calls": [\
{"id": "a", "output_tokens": 20, "prompt": [{"key": "shared/system", "tokens": 512}, {"key": "q", "tokens": 30}]},\
{"id": "b", "output_tokens": 9, "parents": ["a"], "gap_s": 1.5, "extends": "a",\
 "prompt": [{"key": "f", "tokens": 12}]},\
{"id": "c", "output_tokens": 1, "parents": ["b"], "extends": "a"}]}

{"id": "p2", "workload": "one", "arrival_s": 0, "calls": [\
{"id": "a", "output_tokens": 1, "prompt": [{"key": "q", "tokens": 3, "answer": false}]}]}
"""
    first, second = read(text)
    a, b, c = first.calls
    assert a == Call("a", (Segment("shared/system", 512), Segment("q", 30)), 20)
    assert b == Call("b", (*a.prompt, Segment("a", 20, answer=True), Segment("f", 12)), 9, ("a",), 1.5)
    assert c.prompt == (*a.prompt, Segment("a", 20, answer=True))
    assert second == Program("p2", "one", 0.0, (Call("a", (Segment("q", 3),), 1),))


def call(**changes: object) -> dict[str, object]:
    return {"id": "a", "output_tokens": 1, "prompt": [{"key": "q", "tokens": 3}]} | changes


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("{", "Expecting property name"),
        ("[]", "A program must be an object, not []"),
        ({"calls": None}, "calls must be an array, not missing"),
        ({"calls": []}, "It has no call"),
        ({"id": 7}, "id must be text, not 7"),
        ({"arrival_s": "soon"}, "arrival_s must be a number, not 'soon'"),
        ({"arrival_s": True}, "arrival_s must be a number, not True"),
        ({"arrival_s": float("inf")}, "arrival_s must be a number, not inf"),
        ({"arrival_s": 10**400}, "arrival_s must be a number, not 1000"),
        ({"arrival_s": -1}, "arrival_s is a time, not -1.0"),
        ({"calls": [call(output_tokens=1.5)]}, "output_tokens of call 'a' must be a whole number, not 1.5"),
        ({"calls": [call(output_tokens=0)]}, "at least one token"),
        ({"calls": [call(prompt=[{"key": "q"}])]}, "tokens of call 'a' must be a whole number, not missing"),
        (
            {"calls": [call(prompt=[{"key": "q", "tokens": 1, "answer": 1}])]},
            "answer of call 'a' must be true or false",
        ),
        ({"calls": [call(prompt=[])]}, "must have a prompt"),
        ({"calls": [call(parents="a")]}, "parents of call 'a' must be an array"),
        ({"calls": [call(parents=["a"])]}, "waits for 'a', which is no call before it"),
        ({"calls": [call(extends="z")]}, "Call 'a' extends 'z', which is no call before it"),
        ({"calls": [call(), call(id="b", extends="a")]}, "has the answer of 'a', for which it does not wait"),
        ({"calls": [call(), call()]}, "Two calls have the id 'a'"),
        ({"id": "first"}, "The id 'first' was there before"),
    ],
)
def test_a_wrong_line_is_named(line: str | dict[str, object], sentence: str) -> None:
    good = {"id": "first", "workload": "w", "arrival_s": 0, "calls": [call()]}
    bad = line if isinstance(line, str) else json.dumps(good | {"id": "second"} | line)
    lines = replay.read([json.dumps(good), "", bad])
    assert next(lines).id == "first"  # what stands before is read
    with pytest.raises(ValueError, match=r"^Line 3 is no program: ") as caught:
        next(lines)
    assert sentence in str(caught.value)


CHATS = [
    {
        "id": "long",
        "conversations": [
            {"from": "system", "value": "Be kind."},
            {"from": "human", "value": "x" * 40},
            {"from": "gpt", "value": "y" * 9},
            {"from": "human", "value": "z" * 4},
            {"from": "gpt", "value": "y" * 4},
            {"from": "gpt", "value": "y" * 4},
            {"from": "human", "value": "never answered"},
        ],
    },
    {"id": "no answer", "conversations": [{"from": "human", "value": "hello"}]},
    {"id": "late", "conversations": [{"from": role, "value": "abc"} for role in ("gpt", "human", "gpt")]},
]


def test_a_chat_is_a_thread_of_its_models_messages() -> None:
    found = {program.id: program for program in replay.sharegpt(io.StringIO(json.dumps(CHATS)), rate=0, seed=1)}
    assert found.keys() == {"long", "late"}
    first = (Segment("message/0", 2 + 10),)
    second = (*first, Segment("0", 3, answer=True), Segment("message/1", 1))
    assert found["long"].calls == (Call("0", first, 3), Call("1", second, 2, parents=("0",)))
    assert found["late"].calls == (Call("0", (Segment("message/0", 1 + 1),), 1),)


def test_chats_are_sampled_by_the_seed_and_arrive_by_the_rate(tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    path.write_text(json.dumps([CHATS[0] | {"id": f"chat {number}"} for number in range(30)], indent=1))
    slow = list(replay.sharegpt(path, rate=1.0, seed=1, programs=10, thinking_s=5.0))
    fast = list(replay.sharegpt(path, rate=10.0, seed=1, programs=10, thinking_s=5.0))
    assert [program.calls for program in slow] == [program.calls for program in fast]
    assert [program.arrival_s for program in slow] == pytest.approx([10 * program.arrival_s for program in fast])
    assert all(program.calls[1].gap_s > 0 == program.calls[0].gap_s for program in slow)
    other = replay.sharegpt(path, rate=1.0, seed=2, programs=10)
    assert {program.id for program in other} != {program.id for program in slow}


def test_a_tokenizer_may_count_and_ids_may_be_twice() -> None:
    lines = "".join(json.dumps(CHATS[2]) + "\n" for _ in range(2))  # one chat a line
    found = list(replay.sharegpt(io.StringIO(lines), rate=0, seed=1, tokens=lambda said: 10 * len(said)))
    assert {program.id for program in found} == {"late", "late'"}
    assert found[0].calls[0].output_tokens == 30


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "The file is no JSON, let alone chats"),
        ("[\n{]", "The file is no JSON, let alone chats"),
        ('{"id": "a", "conversations": []}\nnonsense', "Line 2 is no JSON, let alone chats"),
        ("[3]", "Line 1 has no chat at place 0: A chat must be an object, not 3"),
        ('[\n{"id": "a"}]', "The file has no chat at place 0: conversations must be an array, not missing"),
        ('[{"conversations": [{"from": "human"}]}]', "Line 1 has no chat at place 0: value must be text, not missing"),
    ],
)
def test_what_is_no_chat_is_named(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="no") as caught:
        list(replay.sharegpt(io.StringIO(text), rate=1, seed=0))
    assert sentence in str(caught.value)


def test_the_estimate_is_a_token_for_four_bytes() -> None:
    assert [replay.estimated_tokens(said) for said in ("", "a", "abcd", "abcde", "éé")] == [0, 1, 1, 2, 1]
