"""KV blocks with a prefix cache: what a call has computed stays until its block is needed for something else."""

from collections import OrderedDict
from collections.abc import Hashable, Sequence

__all__ = ["Blocks"]


class _Block:
    __slots__ = ("holders", "key")

    def __init__(self) -> None:
        self.key: Hashable | None = None
        self.holders = 0


class Blocks:
    """``count`` blocks of ``size`` tokens. Unheld blocks keep their content; the one unheld longest goes first."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._free: OrderedDict[_Block, None] = OrderedDict((_Block(), None) for _ in range(count))
        self._cached: dict[Hashable, _Block] = {}
        self._held: dict[str, list[_Block]] = {}

    @property
    def free(self) -> int:
        """Blocks that nobody holds, with content or without."""
        return len(self._free)

    def held(self, owner: str) -> int:
        """Blocks that this call holds."""
        return len(self._held.get(owner, ()))

    def returned(self, owner: str) -> int:
        """Blocks that come free if this call holds nothing any more: those that no other call shares."""
        return sum(block.holders == 1 for block in self._held.get(owner, ()))

    def needed(self, tokens: int) -> int:
        """Blocks for so many tokens."""
        return -(-tokens // self.size)

    def cached(self, keys: Sequence[Hashable]) -> int:
        """How many of these blocks, from the first on, are still here."""
        for index, key in enumerate(keys):
            if key not in self._cached:
                return index
        return len(keys)

    def hold(self, owner: str, keys: Sequence[Hashable]) -> None:
        """Hold the cached blocks of these keys; the call must hold none yet."""
        held = [self._cached[key] for key in keys]
        for block in held:
            if not block.holders:
                del self._free[block]
            block.holders += 1
        self._held[owner] = held

    def grow(self, owner: str, tokens: int) -> bool:
        """Hold as many blocks as these tokens need; False, and nothing changes, if there are not enough."""
        held = self._held.setdefault(owner, [])
        more = self.needed(tokens) - len(held)
        if more > len(self._free):
            return False
        for _ in range(more):
            block, _nothing = self._free.popitem(last=False)
            if block.key is not None:
                del self._cached[block.key]
                block.key = None
            block.holders = 1
            held.append(block)
        return True

    def name(self, owner: str, index: int, key: Hashable) -> None:
        """The call's block of this index is full, and this is what it holds."""
        block = self._held[owner][index]
        if block.key is None and key not in self._cached:
            block.key = key
            self._cached[key] = block

    def release(self, owner: str) -> None:
        """Hold nothing any more. The end of a prefix is given up before its beginning."""
        for block in reversed(self._held.pop(owner, [])):
            block.holders -= 1
            if not block.holders:
                self._free[block] = None
