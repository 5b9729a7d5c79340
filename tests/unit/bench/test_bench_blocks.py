"""KV blocks: what is kept, what is found again, what is given up first."""

from hypothesis import given, settings
from hypothesis import strategies as st

from autellix_bench.engine import Blocks, Piece


def filled(blocks: Blocks, owner: str, pieces: list[Piece]) -> None:
    blocks.hold(owner, tuple(pieces))
    tokens = sum(piece.blocks for piece in pieces) * blocks.size
    assert blocks.grow(owner, tokens)
    blocks.keep(owner, tokens)


def prefix(*keys: str, blocks: int = 1) -> list[Piece]:
    return [Piece(key, blocks) for key in keys]


def test_a_released_prefix_is_found_until_its_blocks_are_needed() -> None:
    blocks = Blocks(4, 16)
    filled(blocks, "a", prefix("1", "2", "3"))
    blocks.release("a")
    assert (blocks.free, blocks.cached(prefix("1", "2", "3"))) == (4, 3)

    filled(blocks, "b", prefix("x", "y"))  # the one that was never used, then the end of the prefix
    assert blocks.cached(prefix("1", "2", "3")) == 2


def test_a_long_piece_gives_up_its_end_and_keeps_its_beginning() -> None:
    blocks = Blocks(12, 16)
    filled(blocks, "a", prefix("1", "2", blocks=5))
    blocks.release("a")
    filled(blocks, "b", prefix("x", blocks=5))
    assert blocks.cached(prefix("1", "2", blocks=5)) == 7
    blocks.release("b")

    assert blocks.hold("c", tuple(prefix("1", "2", blocks=5))) == 7
    assert (blocks.held("c"), blocks.returned("c"), blocks.free) == (7, 7, 5)
    assert blocks.grow("c", 160)
    blocks.keep("c", 160)
    assert blocks.cached(prefix("1", "2", blocks=5)) == 10


def test_the_least_recently_held_prefix_goes_first() -> None:
    blocks = Blocks(4, 16)
    for owner in ("old", "new"):
        filled(blocks, owner, prefix(owner, blocks=2))
        blocks.release(owner)
    filled(blocks, "again", prefix("old", blocks=2))
    blocks.release("again")
    filled(blocks, "more", prefix("x"))
    assert (blocks.cached(prefix("old", blocks=2)), blocks.cached(prefix("new", blocks=2))) == (2, 1)


def test_a_held_prefix_is_shared_and_never_given_up() -> None:
    blocks = Blocks(3, 16)
    filled(blocks, "a", prefix("1", "2"))
    filled(blocks, "b", prefix("1", "2", "3"))
    assert blocks.free == 0
    blocks.hold("c", ())
    assert not blocks.grow("c", 1)
    assert (blocks.returned("a"), blocks.returned("b"), blocks.returned("nobody")) == (0, 1, 0)
    blocks.release("a")
    assert blocks.free == 0
    blocks.release("b")
    assert (blocks.free, blocks.held("b")) == (3, 0)


def test_two_calls_that_compute_the_same_at_once_hold_it_twice_and_leave_it_once() -> None:
    blocks = Blocks(4, 16)
    for owner in "ab":
        blocks.hold(owner, tuple(prefix("1", "2")))
        assert blocks.grow(owner, 32)
    for owner in "ab":
        blocks.keep(owner, 32)
    assert (blocks.free, blocks.returned("a"), blocks.returned("b")) == (0, 2, 2)
    blocks.release("a")
    blocks.release("b")
    assert (blocks.free, blocks.cached(prefix("1", "2"))) == (4, 2)


STEP = st.tuples(st.sampled_from("abcd"), st.integers(0, 24), st.integers(0, 2), st.booleans())


@settings(deadline=None)
@given(st.lists(STEP, max_size=60))
def test_no_block_is_lost_or_held_twice(steps: list[tuple[str, int, int, bool]]) -> None:
    blocks = Blocks(6, 4)
    for owner, tokens, family, lazily in steps:
        blocks.release(owner)
        pieces = prefix(*(f"{family}.{index}" for index in range(3)), blocks=2)
        found = blocks.hold(owner, tuple(pieces))
        assert found == blocks.cached(pieces)
        more = blocks.needed(tokens) - found
        if lazily and 0 < more <= blocks.free:
            blocks.take(more)
            blocks.given(owner, tokens)
            blocks.keep(owner, tokens)
        elif blocks.grow(owner, tokens):
            blocks.keep(owner, tokens)
        kept = {id(kept): kept for kept in blocks._cache.values()}
        held = sum(holding.own for holding in blocks._held.values())
        assert sum(one.blocks for one in kept.values()) + held + blocks._empty == 6
        assert sum(one.blocks for one in kept.values() if not one.holders) == blocks._idle_blocks
        assert min(holding.own for holding in blocks._held.values()) >= 0
        assert {id(one) for one in blocks._idle} == {id(one) for one in kept.values() if not one.holders}
    for owner in "abcd":
        blocks.release(owner)
    assert blocks.free == 6
