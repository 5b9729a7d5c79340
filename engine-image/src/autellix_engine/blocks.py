"""What requests take of the KV cache, as vLLM's block pool counts it.

A block that is cached but held by nobody counts as free there, and reusing it takes it out of the free ones again. So
a prefix hit spares a waiting request blocks only where a *running* one holds them; and a victim gives back only the
blocks that nobody else holds.
"""

from itertools import takewhile
from typing import Any

from autellix_engine.readiness import FETCHING

__all__ = ["Blocks"]


class Blocks:
    """The KV blocks of one engine, seen through vLLM's ``KVCacheManager``."""

    def __init__(self, manager: Any, *, block_size: int, hits_known: bool) -> None:
        """``hits_known``: one hash a block and one group of layers, so that a hit can be looked up here."""
        self._manager = manager
        self._pool = manager.block_pool
        self._size = block_size
        self._hits_known = hits_known and manager.enable_caching

    @property
    def free(self) -> int:
        """Blocks that can be had without displacing anyone."""
        blocks: int = self._pool.get_num_free_blocks()
        return blocks

    @property
    def usage(self) -> float:
        """The part of the cache that running requests hold, 0 to 1."""
        usage: float = self._manager.usage
        return usage

    def needed(self, request: Any) -> int:
        """Blocks that the waiting request takes off the free ones. Hits are looked up only where room is short."""
        all_of_it: int = -(-request.num_tokens // self._size)
        if request.status.name == FETCHING:
            return max(0, all_of_it - self.held(request.request_id))
        if not self._hits_known or all_of_it <= self.free:
            return all_of_it
        most = (request.num_tokens - 1) // self._size  # vLLM computes at least the last token anew
        return all_of_it - sum(1 for _ in takewhile(self._held_by_a_running_one, request.block_hashes[:most]))

    def held(self, request_id: str) -> int:
        """Blocks that the running request holds."""
        return sum(len(group) for group in self._manager.get_block_ids(request_id))

    def returned(self, request_id: str) -> int:
        """Blocks that are free once the running request is put back."""
        groups = self._manager.get_blocks(request_id).blocks
        return sum(1 for group in groups for block in group if block.ref_cnt == 1)

    def _held_by_a_running_one(self, block_hash: Any) -> bool:
        found = self._pool.get_cached_block(block_hash, [0])
        return found is not None and found[0].ref_cnt > 0
