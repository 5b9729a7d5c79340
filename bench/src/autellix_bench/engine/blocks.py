"""KV blocks with a prefix cache: what a call has computed stays until its blocks are needed for something else.

Blocks are counted, not kept one by one: a prompt is a row of *pieces*, and a piece in the cache is how many of its
blocks, from its first, are still there. So a call costs what its prompt has of pieces, however long they are.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

__all__ = ["Blocks", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Full blocks in a row that are one thing in the cache. Equal keys are equal content with equal content before."""

    key: Hashable
    blocks: int = 1


@dataclass(eq=False, slots=True)
class _Kept:
    """What the cache has of a piece: its first blocks."""

    key: Hashable
    blocks: int
    holders: int


@dataclass(slots=True)
class _Holding:
    """What one call holds."""

    pieces: tuple[Piece, ...]
    blocks: int = 0
    own: int = 0
    """Of them, those that are in no piece of the cache."""
    kept: list[_Kept] = field(default_factory=list)
    whole: int = 0
    """Pieces, from the first, that are in the cache with all their blocks: nothing more is to be done for them."""
    whole_blocks: int = 0


class Blocks:
    """``count`` blocks of ``size`` tokens. Blocks without content are taken first, then the piece that nobody has held
    for the longest time gives up its last blocks."""

    def __init__(self, count: int, size: int) -> None:
        self.count, self.size = count, size
        self._empty = count
        self._idle: OrderedDict[_Kept, None] = OrderedDict()
        self._idle_blocks = 0
        self._cache: dict[Hashable, _Kept] = {}
        self._held: dict[str, _Holding] = {}

    @property
    def free(self) -> int:
        """Blocks that nobody holds, with content or without."""
        return self._empty + self._idle_blocks

    def held(self, owner: str) -> int:
        """Blocks that this call holds."""
        return self._held[owner].blocks if owner in self._held else 0

    def returned(self, owner: str) -> int:
        """Blocks that come free if this call holds nothing any more: those that no other call shares."""
        holding = self._held.get(owner)
        if holding is None:
            return 0
        return holding.own + sum(kept.blocks for kept in holding.kept if kept.holders == 1)

    def needed(self, tokens: int) -> int:
        """Blocks for so many tokens."""
        return -(-tokens // self.size)

    def cached(self, pieces: Iterable[Piece]) -> int:
        """How many blocks of these pieces, from the first on, are still here."""
        found = 0
        for piece in pieces:
            kept = self._cache.get(piece.key)
            found += kept.blocks if kept else 0
            if kept is None or kept.blocks < piece.blocks:
                break
        return found

    def hold(self, owner: str, pieces: tuple[Piece, ...], *, most: int | None = None) -> int:
        """Hold what is here of these pieces, and return how many blocks that are; the call must hold none yet.

        The pieces are also what the blocks that it takes from now on will hold, see :meth:`keep`. ``most``: the full
        blocks of what it has so far; another call may have left the answer here that this one has still to give.
        """
        holding = self._held[owner] = _Holding(pieces)
        for piece in pieces:
            kept = self._cache.get(piece.key)
            if kept is None or (most is not None and holding.blocks + kept.blocks > most):
                break
            self._share(holding, kept)
            holding.blocks += kept.blocks
            if kept.blocks < piece.blocks:
                break
            holding.whole += 1
            holding.whole_blocks += piece.blocks
        return holding.blocks

    def grow(self, owner: str, tokens: int) -> bool:
        """Hold as many blocks as these tokens need; False, and nothing changes, if there are not enough."""
        more = self.needed(tokens) - self._held[owner].blocks
        if more > self.free:
            return False
        if more > 0:
            self.take(more)
            self.given(owner, tokens)
        return True

    def take(self, count: int) -> None:
        """Take blocks that are free, for calls that are named later by :meth:`given`."""
        self._empty -= count
        while self._empty < 0:
            kept = next(iter(self._idle))
            gone = min(kept.blocks, -self._empty)
            kept.blocks -= gone
            self._empty += gone
            self._idle_blocks -= gone
            if not kept.blocks:
                del self._idle[kept]
                del self._cache[kept.key]

    def given(self, owner: str, tokens: int) -> None:
        """The blocks that this call needs for these tokens beyond those it holds were taken before."""
        holding = self._held[owner]
        more = self.needed(tokens) - holding.blocks
        if more > 0:
            holding.blocks += more
            holding.own += more

    def keep(self, owner: str, tokens: int) -> None:
        """The call has computed so many tokens: put the full blocks of its pieces into the cache."""
        holding, full = self._held[owner], tokens // self.size
        while holding.whole < len(holding.pieces) and full > holding.whole_blocks:
            piece = holding.pieces[holding.whole]
            has = min(piece.blocks, full - holding.whole_blocks)
            self._put(holding, piece, has)
            if has < piece.blocks:
                return
            holding.whole += 1
            holding.whole_blocks += piece.blocks

    def release(self, owner: str) -> None:
        """Hold nothing any more. The end of a prefix is given up before its beginning."""
        holding = self._held.pop(owner, None)
        if holding is None:
            return
        self._empty += holding.own
        for kept in reversed(holding.kept):
            kept.holders -= 1
            if not kept.holders:
                self._idle[kept] = None
                self._idle_blocks += kept.blocks

    def _share(self, holding: _Holding, kept: _Kept) -> None:
        if not kept.holders:
            del self._idle[kept]
            self._idle_blocks -= kept.blocks
        kept.holders += 1
        holding.kept.append(kept)

    def _put(self, holding: _Holding, piece: Piece, has: int) -> None:
        """The call's own blocks become the cache's, unless another call's are there with the same content."""
        kept = self._cache.get(piece.key)
        if kept is None:
            kept = self._cache[piece.key] = _Kept(piece.key, 0, 1)
            holding.kept.append(kept)
        elif not kept.holders and kept.blocks < has:
            del self._idle[kept]  # the rest of an earlier copy, whose beginning was given up: this one replaces it
            self._idle_blocks -= kept.blocks
            self._empty += kept.blocks
            kept.blocks, kept.holders = 0, 1
            holding.kept.append(kept)
        elif kept not in holding.kept:
            return
        more = max(0, has - kept.blocks)
        kept.blocks += more
        holding.own -= more
