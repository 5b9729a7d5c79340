"""KV blocks: what is kept, what is found again, what is given up first."""

from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.engine import Blocks


def filled(blocks: Blocks, owner: str, keys: list[str]) -> None:
    found = blocks.cached(keys)
    blocks.hold(owner, keys[:found])
    assert blocks.grow(owner, len(keys) * blocks.size)
    for index, key in enumerate(keys):
        blocks.name(owner, index, key)


def test_a_released_prefix_is_found_until_its_blocks_are_needed() -> None:
    blocks = Blocks(4, 16)
    filled(blocks, "a", ["1", "2", "3"])
    blocks.release("a")
    assert (blocks.free, blocks.cached(["1", "2", "3"])) == (4, 3)

    assert blocks.grow("b", 2 * 16)  # the one that was never used, then the end of the prefix
    assert blocks.cached(["1", "2", "3"]) == 2


def test_a_held_prefix_is_shared_and_never_given_up() -> None:
    blocks = Blocks(3, 16)
    filled(blocks, "a", ["1", "2"])
    filled(blocks, "b", ["1", "2", "3"])
    assert blocks.free == 0
    assert not blocks.grow("c", 1)
    assert (blocks.returned("a"), blocks.returned("b")) == (0, 1)
    blocks.release("a")
    assert blocks.free == 0
    blocks.release("b")
    assert (blocks.free, blocks.held("b")) == (3, 0)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5), st.integers(0, 2)), max_size=60))
def test_no_block_is_lost_or_held_twice(steps: list[tuple[str, int, int]]) -> None:
    blocks = Blocks(6, 4)
    for owner, length, family in steps:
        blocks.release(owner)
        keys = [f"{family}.{index}" for index in range(length)]
        found = blocks.cached(keys)
        blocks.hold(owner, keys[:found])
        if blocks.grow(owner, length * 4):
            for index, key in enumerate(keys):
                blocks.name(owner, index, key)
        distinct = {id(block) for held in blocks._held.values() for block in held}
        assert len(distinct) + blocks.free == 6
        assert all(block.key is None or blocks._cached[block.key] is block for block in blocks._free)
    for owner in "abcd":
        blocks.release(owner)
    assert blocks.free == 6
