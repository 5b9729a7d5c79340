"""Reads an answer while it comes, at little cost: what is not needed is not decoded.

Tokens are counted by the usage that the server states in the last event of a stream (asked for by ``include_usage``):
under load an engine puts several tokens into one event, and some tokens have no text. Only where there is no usage are
events counted instead. The text of events is decoded up to the first token, and beyond only if a later prompt of the
program holds this answer.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from autellix_core import wire
from autellix_core.errors import MalformedReport
from autellix_core.wire import Report

__all__ = ["CallFailed", "Reading"]

_DATA = b"data:"
_DONE = b"[DONE]"
_REPORT = wire.REPORT_COMMENT.strip().encode()


class CallFailed(Exception):
    """A call was not answered in full; the message says why."""


class Reading:
    """One answer: what is known of it so far, also of one that never ends. Times are the clock's."""

    def __init__(self, clock: Callable[[], float], *, wants_text: bool, keeps_times: bool = False) -> None:
        self.first_token_s: float | None = None
        self.times_s: list[float] = []
        """When each token came, if that is kept."""
        self.engine: str | None = None
        self.report: Report | None = None
        self._clock, self._wants_text, self._keeps_times = clock, wants_text, keeps_times
        self._headers: Mapping[str, str] = {}
        self._pieces: list[str] = []
        self._rest = b""
        self._last = b""
        self._events = 0
        self._done = False
        self._usage: Mapping[str, Any] = {}

    @property
    def text(self) -> str:
        """The answer, if its text was wanted."""
        return "".join(self._pieces)

    @property
    def output_tokens(self) -> int:
        """By usage; failing that, by events."""
        return self._count(self._usage, "completion_tokens") or self._events

    @property
    def prompt_tokens(self) -> int | None:
        """By usage."""
        return self._count(self._usage, "prompt_tokens")

    @property
    def cached_tokens(self) -> int | None:
        """By the engine's report, else by usage, where the server says it there."""
        if self.report is not None:
            return self.report.cached_tokens
        details = self._usage.get("prompt_tokens_details")
        return self._count(details, "cached_tokens") if isinstance(details, Mapping) else None

    @property
    def service_s(self) -> float | None:
        """By the engine's report, else by Autellix's header."""
        return self.report.service_s if self.report else self._number(wire.SERVICE_SECONDS_HEADER)

    @property
    def wait_s(self) -> float | None:
        """By the engine's report, else by Autellix's header."""
        return self.report.wait_s if self.report else self._number(wire.WAIT_SECONDS_HEADER)

    @property
    def level(self) -> int | None:
        """The last one, by the engine's report; else the first one, by Autellix's header."""
        if self.report is not None:
            return self.report.level
        level = self._number(wire.LEVEL_HEADER)
        return None if level is None else int(level)

    def begin(self, headers: Mapping[str, str], *, engine: str | None) -> None:
        """Take the response's headers; ``engine`` is where it comes from, unless they say it."""
        self._headers = headers
        self.engine = headers.get(wire.ENGINE_HEADER, engine)
        self._take_report(headers.get(wire.REPORT_HEADER))

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of a stream.

        :raises CallFailed: if one of its events is an error.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(_DATA):
                self._event(line[len(_DATA) :].strip())
            elif line.startswith(_REPORT):
                self._take_report(line[len(_REPORT) :])

    def end_stream(self) -> None:
        """The stream has ended.

        :raises CallFailed: if its last event did not say so.
        """
        if not self._done:
            raise CallFailed("The stream ended before its last event.")
        if b'"usage"' in self._last:
            self._take_usage(_object(self._last))

    def whole(self, body: bytes) -> None:
        """Take an answer that is no stream.

        :raises CallFailed: if it is none of a model.
        """
        given = _object(body)
        text = _text(given)
        if text is None:
            raise CallFailed(f"This is no answer of a model: {body[:200]!r}")
        if self._wants_text:
            self._pieces.append(text)
        self._take_usage(given)

    def _event(self, data: bytes) -> None:
        if data == _DONE:
            self._done = True
            return
        self._last = data
        if b'"error"' in data[:40] and _is_error(_object(data)):
            raise CallFailed(f"The stream ended with an error: {data[:300].decode(errors='replace')}")
        if self._wants_text or self.first_token_s is None:
            text = _text(_object(data))
            if text is None or (not text and self.first_token_s is None):
                return  # the usage, or the event that only names the role
            if self._wants_text:
                self._pieces.append(text)
        self._events += 1
        if self.first_token_s is None:
            self.first_token_s = self._clock()
        if self._keeps_times:
            self.times_s.append(self._clock())

    def _take_usage(self, given: Mapping[str, Any]) -> None:
        usage = given.get("usage")
        self._usage = usage if isinstance(usage, Mapping) else {}

    def _take_report(self, text: str | bytes | None) -> None:
        if text is not None:
            try:
                self.report = Report.from_json(text)
            except MalformedReport:
                self.report = None  # as if there were none

    def _number(self, header: str) -> float | None:
        try:
            return float(self._headers[header])
        except (KeyError, ValueError):
            return None

    @staticmethod
    def _count(given: Mapping[str, Any], name: str) -> int | None:
        value = given.get(name)
        return value if isinstance(value, int) else None


def _object(data: bytes) -> Mapping[str, Any]:
    try:
        given = json.loads(data)
    except ValueError:
        given = None
    return given if isinstance(given, Mapping) else {}


def _is_error(given: Mapping[str, Any]) -> bool:
    return bool(given.get("error")) or given.get("object") == "error"


def _text(given: Mapping[str, Any]) -> str | None:
    """The text of a whole answer or of one event, of completions or of a chat; None where there is no choice."""
    choices = given.get("choices")
    if not choices:
        return None
    choice = choices[0]
    said = choice.get("delta") or choice.get("message") or choice
    return said.get("content") or said.get("text") or ""
