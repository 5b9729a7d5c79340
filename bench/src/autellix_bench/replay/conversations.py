"""Chats in ShareGPT's format: a list of ``{"id", "conversations": [{"from", "value"}, ...]}``, or one of them a line.

Each message of the model is a call whose prompt is all that was said before. What others say between two of its
messages is one segment; messages of the model in a row are one. A message before the first that the model answers, or
after its last, makes no call. There are no times in such files: programs arrive by a Poisson process, and people take
as long as the caller says. The template that a server puts around messages is not counted.
"""

from collections.abc import Callable, Iterator
from itertools import groupby
from random import Random

from autellix_bench.arrivals import poisson
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.replay.fields import listed, mapping, text
from autellix_bench.replay.files import Source, documents

__all__ = ["Tokens", "estimated_tokens", "sharegpt"]

Tokens = Callable[[str], int]
"""How many tokens a text has."""

_MODEL = frozenset({"gpt", "chatgpt", "assistant", "model", "bing", "bard", "claude"})


def estimated_tokens(said: str) -> int:
    """A token for four bytes of UTF-8, rounded up: about right for English in today's vocabularies."""
    return -(-len(said.encode()) // 4)


def sharegpt(
    source: Source,
    *,
    rate: float,
    seed: int,
    programs: int | None = None,
    tokens: Tokens = estimated_tokens,
    thinking_s: float = 0.0,
    workload: str = "sharegpt",
) -> Iterator[Program]:
    """The file's chats as programs, in an order that the seed decides.

    The file is read whole. The same seed gives the same programs at every rate.

    :param rate: programs a second; 0 means that all are there at 0.
    :param programs: how many at most; None for all.
    :param tokens: counts a text's tokens; a tokenizer's own count is better than the estimate.
    :param thinking_s: how long a person takes between an answer and the next message, mean of an exponential
        distribution.
    :raises ValueError: saying where, if the file is none of this kind.
    """
    rng = Random(seed)  # noqa: S311 - repeatable, not secret
    arrivals = poisson(rate, rng)
    chats = list(_chats(source, tokens))
    rng.shuffle(chats)
    for (name, turns), arrival_s in zip(chats[:programs], arrivals, strict=False):
        yield Program(name, workload, arrival_s, _calls(turns, thinking_s, rng))


def _chats(source: Source, tokens: Tokens) -> Iterator[tuple[str, list[tuple[int, int]]]]:
    """Of each chat its id and, for each call, the new tokens and those of the answer."""
    ids: set[str] = set()
    for where, document in documents(source, "chats"):
        for number, chat in enumerate(document if isinstance(document, list) else [document]):
            try:
                given = mapping(chat, "A chat")
                turns = _turns(listed(given.get("conversations"), "conversations"), tokens)
            except ValueError as error:
                raise ValueError(f"{where} has no chat at place {number}: {error}") from error
            if turns:
                name = str(given.get("id", f"chat-{len(ids)}"))
                while name in ids:  # files of ShareGPT have ids twice
                    name += "'"
                ids.add(name)
                yield name, turns


def _turns(messages: list[object], tokens: Tokens) -> list[tuple[int, int]]:
    said = [mapping(message, "A message") for message in messages]
    by_model = [text(message.get("from"), "from").lower() in _MODEL for message in said]
    counted = [tokens(text(message.get("value"), "value")) for message in said]
    turns: list[tuple[int, int]] = []
    new = 0
    for models, group in groupby(zip(by_model, counted, strict=True), key=lambda message: message[0]):
        count = sum(tokens for _, tokens in group)
        if not models:
            new += count
        elif new and count:
            turns.append((new, count))
            new = 0
        else:
            new += count  # nobody asked for it, or it is empty: what follows builds on it
    return turns


def _calls(turns: list[tuple[int, int]], thinking_s: float, rng: Random) -> tuple[Call, ...]:
    calls: list[Call] = []
    prompt: tuple[Segment, ...] = ()
    for number, (new, output) in enumerate(turns):
        thought_s = rng.expovariate(1.0) * thinking_s
        prompt = (*prompt, Segment(f"message/{number}", new))
        parents, gap_s = ((str(number - 1),), thought_s) if number else ((), 0.0)
        calls.append(Call(str(number), prompt, output, parents, gap_s))
        prompt = (*prompt, Segment(str(number), output, answer=True))
    return tuple(calls)
