"""The texts that the live driver sends: exact lengths, common beginnings, and nothing of another run."""

from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.live.prompts import ENCODINGS, Prompts
from autellix_bench.programs import Segment
from autellix_bench.server.words import TOKEN_BYTES, tokens_of

SIMULATED = Prompts(ENCODINGS["simulated"], salt="s")
lengths = st.integers(1, 3000)


def ours(*tokens: int) -> list[Segment]:
    return [Segment(f"part {index}", count) for index, count in enumerate(tokens)]


@given(st.lists(lengths, min_size=1, max_size=5), st.text(max_size=40))
def test_a_prompt_has_the_tokens_that_it_is_to_have(tokens: list[int], answer: str) -> None:
    prompt = [*ours(*tokens), Segment("earlier", 12, answer=True)]
    text = SIMULATED.text("p", prompt, {"earlier": answer})
    assert len(tokens_of(text)) == sum(tokens) + 12
    assert len(Prompts(ENCODINGS["byte"], salt="s").text("p", prompt, {"earlier": answer}).encode()) == sum(tokens) + 12


def test_the_simulated_engine_is_known_as_it_is() -> None:
    assert ENCODINGS["simulated"].token_bytes == TOKEN_BYTES


@given(lengths, lengths)
def test_the_same_segment_is_the_same_text_as_far_as_it_goes(few: int, more: int) -> None:
    short, long = (SIMULATED.text("p", ours(tokens), {}) for tokens in sorted((few, more)))
    assert long.startswith(short)


def test_shared_segments_are_all_programs_and_others_are_not() -> None:
    shared, own = Segment("shared/system", 40), Segment("question", 40)
    one, other = (SIMULATED.text(program, [shared, own], {}) for program in ("p", "q"))
    assert one[:160] == other[:160]
    assert one[160:180] != other[160:180]


def test_another_run_has_no_beginning_in_common() -> None:
    shared = [Segment("shared/system", 40)]
    runs = {Prompts(ENCODINGS["simulated"], salt=str(salt)).text("p", shared, {})[:64] for salt in range(1000)}
    assert len(runs) == 1000


def test_an_answer_comes_back_as_it_was() -> None:
    prompt = [Segment("question", 4), Segment("c", 3, answer=True), Segment("c", 4, answer=True)]
    text = SIMULATED.text("p", prompt, {"c": "bofabofabofa"})
    assert text[16:] == "bofabofabofa" + "bofabofabofa    "


CHAT = [Segment("shared/system", 20), Segment("q", 30), Segment("a", 3, answer=True), Segment("r", 25)]


def test_a_chat_gives_past_answers_to_the_assistant() -> None:
    messages = SIMULATED.messages("p", CHAT, {"a": "bofabofabofa"})
    assert [message["role"] for message in messages] == ["user", "assistant", "user"]
    assert messages[1]["content"] == "bofabofabofa"
    earlier = SIMULATED.messages("p", CHAT[:2], {})
    assert messages[0] == earlier[0]


def test_a_chat_has_as_many_tokens_with_what_the_engine_puts_around_it() -> None:
    def simulated(messages: list[dict[str, str]]) -> int:
        turns = "".join(f"<{each['role']}>{each['content']}" for each in messages)
        return len(tokens_of(f"{turns}<assistant>"))

    def tiny(messages: list[dict[str, str]]) -> int:  # its special tokens as one byte each
        turns = "".join(f"S{each['role']}\n{each['content']}E\n" for each in messages)
        return len(f"{turns}Sassistant\n")

    tokens = sum(segment.tokens for segment in CHAT)
    assert simulated(SIMULATED.messages("p", CHAT, {"a": "bofabofabofa"})) == tokens
    assert simulated(SIMULATED.messages("p", CHAT[:2], {})) == 50
    byte = Prompts(ENCODINGS["byte"], salt="s")
    assert tiny(byte.messages("p", CHAT, {"a": "abc"})) == tokens
    assert tiny(byte.messages("p", CHAT[:2], {})) == 50
