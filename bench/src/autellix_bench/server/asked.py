"""A request's body, as far as it matters to an engine without a model."""

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from autellix_bench.server.knobs import Knobs
from autellix_bench.server.words import Author, tokens_of

__all__ = ["Asked", "Refused", "read"]

_USUAL_TOKENS = 16
"""Of the completions API, where a body says nothing."""


class Refused(Exception):
    """The body cannot be served; the message says why."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class Asked:
    """One call. ``text`` and ``finish`` are known from the start, since the text depends on the prompt alone."""

    chat: bool
    streams: bool
    usage_in_stream: bool
    tokens: tuple[Hashable, ...]
    author: Author
    output_tokens: int
    finish: str
    stop_at: int | None
    """Characters of text before the stop string, if one is found."""


def read(body: bytes, knobs: Knobs, *, chat: bool) -> Asked:
    """Read a body of the chat or the completions API. Raises :class:`Refused`."""
    try:
        given = json.loads(body)
    except ValueError as error:
        raise Refused(f"The body is not JSON: {error}.") from error
    if not isinstance(given, dict):
        raise Refused("The body is not a JSON object.")
    if given.get("model", knobs.model) != knobs.model:
        raise Refused(f"There is no model {given['model']!r} here, only {knobs.model!r}.", 404)
    if given.get("n", 1) != 1:
        raise Refused("The simulated engine makes one choice a call; leave out n.")
    tokens = tuple(_prompt(given, chat))
    if not tokens:
        raise Refused("The prompt is empty.")
    author = Author(tokens, _whole(given, "seed", knobs.seed, least=None))
    room = knobs.longest_tokens - len(tokens)
    usual = room if chat else min(_USUAL_TOKENS, room)
    most = _whole(given, "max_completion_tokens", _whole(given, "max_tokens", usual))
    if most > room:
        raise Refused(
            f"The prompt's {len(tokens)} tokens and an answer of {most} are more than {knobs.longest_tokens} together."
        )
    length, finish = most, "length"
    if not given.get("ignore_eos") and author.length() < most:
        length, finish = author.length(), "stop"
    length, stop_at = _stopped(author, length, given.get("stop"))
    options = given.get("stream_options")
    return Asked(
        chat=chat,
        streams=bool(given.get("stream")),
        usage_in_stream=isinstance(options, dict) and bool(options.get("include_usage")),
        tokens=tokens,
        author=author,
        output_tokens=length,
        finish=finish if stop_at is None else "stop",
        stop_at=stop_at,
    )


def _prompt(given: Mapping[str, Any], chat: bool) -> list[Hashable]:
    if chat:
        messages = given.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise Refused("messages must be a list of objects.")
        said = "".join(f"<{each.get('role')}>{_content(each.get('content'))}" for each in messages)
        return tokens_of(f"{said}<assistant>")  # which invites the answer, as chat templates do
    prompt = given.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and not isinstance(prompt[0], int):
        prompt = prompt[0]
    if isinstance(prompt, str):
        return tokens_of(prompt)
    if isinstance(prompt, list) and all(isinstance(token, int) for token in prompt):
        return tokens_of(prompt)
    raise Refused("prompt must be one text or one list of token ids.")


def _content(content: Any) -> str:
    return content if isinstance(content, str) else json.dumps(content)


def _whole(given: Mapping[str, Any], name: str, usual: int, least: int | None = 1) -> int:
    value = given.get(name)
    if value is None:
        return usual
    if not isinstance(value, int) or isinstance(value, bool) or (least is not None and value < least):
        raise Refused(
            f"{name} must be a whole number{'' if least is None else f' of at least {least}'}, not {value!r}."
        )
    return value


def _stopped(author: Author, length: int, stop: Any) -> tuple[int, int | None]:
    """Tokens of the answer, and where its text ends if a stop string ends it."""
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(each, str) and each for each in stops):
        raise Refused("stop must be a text or a list of texts.")
    if not stops:
        return length, None
    text = author.text(length)
    found = [(text.index(each), len(each)) for each in stops if each in text]
    if not found:
        return length, None
    at, size = min(found, key=sum)
    return -(-(at + size) // 4), at
