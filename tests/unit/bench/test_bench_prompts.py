"""Which prompts begin with the same blocks."""

from autellix_bench.engine import Blocks, Piece
from autellix_bench.programs import Call, Segment
from autellix_bench.simulation.prompts import Prompts
from bench_loads import chain, program


def common(first: tuple[Piece, ...], second: tuple[Piece, ...]) -> int:
    """Blocks that the second finds of the first."""
    blocks = Blocks(1000, 4)
    blocks.hold("first", first)
    tokens = 4 * sum(piece.blocks for piece in first)
    assert blocks.grow("first", tokens)
    blocks.keep("first", tokens)
    return blocks.cached(second)


def test_a_prompt_with_its_answer_is_full_blocks_only() -> None:
    asks = Call("c", (Segment("a", 3), Segment("b", 2), Segment("d", 9)), 3)
    pieces = Prompts(4).pieces(program("p", asks), asks)
    assert [piece.blocks for piece in pieces] == [1, 2, 1]  # 17 tokens; the first 3 fill no block


def test_a_next_call_begins_with_the_prompt_and_answer_of_the_one_before() -> None:
    prompts, talk = Prompts(4), chain("p", 7, 5, prompt=10)
    first, second = (prompts.pieces(talk, call) for call in talk.calls)
    assert common(first, second) == 17 // 4
    assert sum(piece.blocks for piece in second) == (10 + 7 + 10 + 5) // 4


def test_other_programs_share_what_is_shared_from_the_beginning_on() -> None:
    prompts = Prompts(4)
    asks = Call("c", (Segment("shared/system", 10), Segment("own", 10), Segment("shared/tool", 10)), 4)
    one, other = (prompts.pieces(program(name, asks), asks) for name in ("p", "q"))
    assert common(one, one) == 34 // 4
    assert common(one, other) == 10 // 4


def test_a_program_that_is_over_is_forgotten() -> None:
    prompts, talk = Prompts(4), chain("p", 7, prompt=10)
    before = prompts.pieces(talk, talk.calls[0])
    prompts.forget(talk)
    assert common(before, prompts.pieces(talk, talk.calls[0])) == 0
