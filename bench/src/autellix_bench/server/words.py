"""Text that depends on nothing but its prompt and a seed: not on time, company, or how often it was interrupted.

A token is four bytes of text. So an answer's token costs four letters, and a prompt's tokens are its bytes by fours.
"""

from collections.abc import Hashable, Sequence
from hashlib import blake2b

__all__ = ["TOKEN_BYTES", "Author", "Prompt", "block_keys", "continued", "tokens_of"]

TOKEN_BYTES = 4
_ONSETS = "bdfghjklmnprstvz"
_VOWELS = "aeio"

Prompt = str | Sequence[int]
"""A text, or token ids as the completions API also takes them."""


def tokens_of(prompt: Prompt) -> list[Hashable]:
    """A prompt's tokens."""
    if not isinstance(prompt, str):
        return list(prompt)
    return _by_fours(prompt.encode())


def continued(tokens: Sequence[Hashable], text: str) -> list[Hashable]:
    """The tokens of a prompt and its answer's text, as they are once both come back at the beginning of a prompt."""
    *before, last = tokens
    if isinstance(last, bytes):
        return [*before, *_by_fours(last + text.encode())]
    return [*tokens, *tokens_of(text)]


def _by_fours(data: bytes) -> list[Hashable]:
    return [data[start : start + TOKEN_BYTES] for start in range(0, len(data), TOKEN_BYTES)]


def block_keys(tokens: Sequence[Hashable], size: int) -> tuple[Hashable, ...]:
    """What each full block holds, all that comes before it included."""
    keys: list[Hashable] = []
    digest = b""
    for start in range(0, len(tokens) - size + 1, size):
        digest = blake2b(repr(tuple(tokens[start : start + size])).encode(), key=digest, digest_size=16).digest()
        keys.append(digest)
    return tuple(keys)


class Author:
    """Writes the answer to one prompt, token by token and in any order."""

    def __init__(self, tokens: Sequence[Hashable], seed: int) -> None:
        self._key = blake2b(repr((seed, tuple(tokens))).encode(), digest_size=32).digest()

    def token(self, index: int) -> str:
        """The answer's token of this index: two syllables, or one and a space."""
        first, second, third = blake2b(index.to_bytes(8, "big"), key=self._key, digest_size=3).digest()
        start = _ONSETS[first & 15] + _VOWELS[first >> 4 & 3]
        ends = third < 128
        return f"{start}{_ONSETS[second & 15]} " if ends else start + _ONSETS[second & 15] + _VOWELS[second >> 4 & 3]

    def text(self, tokens: int) -> str:
        """The first so many tokens."""
        return "".join(self.token(index) for index in range(tokens))

    def length(self) -> int:
        """Tokens after which the answer ends by itself, if it may."""
        return 8 + int.from_bytes(self._key[:2], "big") % 249
