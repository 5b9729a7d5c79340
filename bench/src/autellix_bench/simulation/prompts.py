"""Prompts as pieces for the prefix cache: who has the same beginning as whom."""

from itertools import count

from autellix_bench.engine import Piece
from autellix_bench.programs import Call, Program

__all__ = ["Prompts"]

_SHARED = "shared/"


class Prompts:
    """Names the beginnings of prompts. Two calls have a beginning in common where their segments are the same from the
    first on, of one program or, as far as the segments are shared, of any."""

    def __init__(self, block_tokens: int) -> None:
        self._block_tokens = block_tokens
        self._names = count(1)
        self._shared: dict[tuple[int, str, int], int] = {}
        self._own: dict[str, dict[tuple[int, str, int], int]] = {}

    def pieces(self, program: Program, call: Call) -> tuple[Piece, ...]:
        """The full blocks of the call's prompt and answer, a piece a segment.

        A block belongs to the segment that fills it: it holds all that comes before, so it is the same only where that
        is. What the call answers is the segment that later calls name by its id.
        """
        own = self._own.setdefault(program.id, {})
        pieces: list[Piece] = []
        name, tokens, shared = 0, 0, True
        for key, more in (*((part.key, part.tokens) for part in call.prompt), (call.id, call.output_tokens)):
            shared = shared and key.startswith(_SHARED)
            known = self._shared if shared else own
            beginning = (name, key, more)
            if beginning not in known:
                known[beginning] = next(self._names)
            name = known[beginning]
            full = (tokens + more) // self._block_tokens - tokens // self._block_tokens
            if full:
                pieces.append(Piece(name, full))
            tokens += more
        return tuple(pieces)

    def forget(self, program: Program) -> None:
        """The program is over: nobody will ask for its own beginnings."""
        self._own.pop(program.id, None)
