"""Prompts as text: as many tokens as the program says, beginnings shared where its segments are, none of another run.

The text is words of four letters and a space, so that a byte-pair vocabulary of English has about one token for each.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b, shake_256

from autellix_bench.programs import Segment

__all__ = ["ENCODINGS", "Encoding", "Prompts"]

_WORDS = (
    "time year work life hand part city team fact road tree book door wall rain snow fire wind ship bird fish song "
    "word name line page room home food milk salt rice corn wood iron gold blue grey dark cold warm soft hard long "
    "high deep wide slow fast good kind true rich poor full open next last much many find keep make take "
)
_WORD = 5
_SHARED = "shared/"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How many bytes of text make a token, which is all that must be known to write a prompt of so many tokens."""

    token_bytes: int
    turn_bytes: int = 0
    """Chat: what the engine puts around a user's message, and what it invites the answer with."""
    answer_bytes: int = 0
    """Chat: what a past answer adds to that."""
    exact: bool = True
    """Not so, the usage that the server states tells how far off the prompts were."""


ENCODINGS: Mapping[str, Encoding] = {
    "byte": Encoding(token_bytes=1, turn_bytes=19, answer_bytes=2),
    "simulated": Encoding(token_bytes=4, turn_bytes=17),
    "words": Encoding(token_bytes=5, turn_bytes=40, exact=False),
}
"""By name: the tiny model's tokenizer and chat template, the simulated engine's, and about any other model's.

The first two are exact: completions always, chats where each of the user's turns has room for what is put around it.
"""


class Prompts:
    """Writes the prompts of one run. The salt goes into every word, so no other run's text begins alike."""

    def __init__(self, encoding: Encoding, *, salt: str) -> None:
        self._encoding = encoding
        self._salt = salt

    def text(self, program: str, prompt: Sequence[Segment], answers: Mapping[str, str]) -> str:
        """A prompt for the completions API; ``answers`` are those that the program's earlier calls got."""
        return "".join(self._segment(program, segment, answers) for segment in prompt)

    def messages(self, program: str, prompt: Sequence[Segment], answers: Mapping[str, str]) -> list[dict[str, str]]:
        """The same for the chat API: past answers are the assistant's, all between them is the user's."""
        messages: list[dict[str, str]] = []
        for segment in prompt:
            role, text = "assistant" if segment.answer else "user", self._segment(program, segment, answers)
            if messages and messages[-1]["role"] == role:
                messages[-1]["content"] += text
            else:
                messages.append({"role": role, "content": text})
        for before, message in zip([None, *messages], messages, strict=False):
            if message["role"] == "user":
                around = self._encoding.turn_bytes + (0 if before is None else self._encoding.answer_bytes)
                message["content"] = message["content"][around:]
        return messages

    def _segment(self, program: str, segment: Segment, answers: Mapping[str, str]) -> str:
        size = segment.tokens * self._encoding.token_bytes
        if segment.answer:
            return _fitted(answers[segment.key], size)
        whose = "" if segment.key.startswith(_SHARED) else program
        return _filler(f"{self._salt}\0{whose}\0{segment.key}", size)


def _fitted(text: str, size: int) -> str:
    """The text in so many bytes of UTF-8. Normally it has them; not so, if the answer had tokens without text."""
    data = text.encode()
    if len(data) != size:
        text = data[:size].decode(errors="ignore")
        text += " " * (size - len(text.encode()))
    return text


def _filler(name: str, size: int) -> str:
    """The first so many bytes of the text of this name: words of its own, then a place of its own in a common text."""
    digest = blake2b(name.encode(), digest_size=24).digest()
    start = int.from_bytes(digest[16:], "big") % len(_COMMON) // _WORD * _WORD
    own = _words(digest[:16])
    times = (start + size) // len(_COMMON) + 1
    return (own + (_COMMON * times)[start : start + size])[:size]


def _words(data: bytes) -> str:
    starts = (byte * _WORD % len(_WORDS) for byte in data)
    return "".join(_WORDS[start : start + _WORD] for start in starts)


_COMMON = _words(shake_256(b"autellix").digest(8192))
