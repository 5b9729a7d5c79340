"""KV blocks: what a waiting request takes, what a running one gives back."""

from types import SimpleNamespace
from typing import Any

import pytest

from autellix_engine.blocks import Blocks


def blocks(*, free: int, held: dict[str, int], caching: bool = True, hits_known: bool = True) -> Blocks:
    """A cache with so many free blocks; ``held`` are the cached ones, by hash, with how many requests hold each."""
    cached = {name: SimpleNamespace(ref_cnt=count) for name, count in held.items()}
    pool = SimpleNamespace(
        get_num_free_blocks=lambda: free,
        get_cached_block=lambda name, groups: [cached[name]] if name in cached else None,
    )
    manager = SimpleNamespace(
        block_pool=pool,
        enable_caching=caching,
        usage=0.25,
        get_block_ids=lambda _: ([1, 2], [3]),
        get_blocks=lambda _: SimpleNamespace(
            blocks=([SimpleNamespace(ref_cnt=2), SimpleNamespace(ref_cnt=1)], [SimpleNamespace(ref_cnt=1)])
        ),
    )
    return Blocks(manager, block_size=4, hits_known=hits_known)


def request(tokens: int, hashes: str = "") -> Any:
    status = SimpleNamespace(name="WAITING")
    return SimpleNamespace(request_id="r", status=status, num_tokens=tokens, block_hashes=list(hashes))


@pytest.mark.parametrize(
    ("tokens", "hashes", "needed"),
    [
        (9, "", 3),
        (12, "abc", 1),  # a and b are a running call's; of c the last token is computed anew
        (13, "abx", 2),
        (13, "axb", 3),  # a hit is a prefix
        (13, "aeb", 3),  # e is cached and nobody's, so it comes off the free blocks
    ],
)
def test_only_what_a_running_call_holds_is_spared(tokens: int, hashes: str, needed: int) -> None:
    assert blocks(free=0, held={"a": 1, "b": 2, "c": 1, "e": 0}).needed(request(tokens, hashes)) == needed


def test_where_room_is_plenty_nothing_is_looked_up() -> None:
    assert blocks(free=3, held={"a": 1}).needed(request(12, "abc")) == 3


@pytest.mark.parametrize("unknown", [{"caching": False}, {"hits_known": False}])
def test_where_hits_cannot_be_known_a_need_is_the_upper_bound(unknown: dict[str, bool]) -> None:
    assert blocks(free=0, held={"a": 1}, **unknown).needed(request(12, "abc")) == 3


def test_a_call_whose_kv_is_fetched_holds_blocks_already() -> None:
    fetching = request(20)
    fetching.status.name = "WAITING_FOR_REMOTE_KVS"
    assert blocks(free=0, held={}).needed(fetching) == 2


def test_a_victim_gives_back_what_nobody_else_holds() -> None:
    cache = blocks(free=0, held={})
    assert cache.held("r") == 3
    assert cache.returned("r") == 2
    assert (cache.free, cache.usage) == (0, 0.25)
