"""Reads what an engine tells about a call: its report, or failing that the usage in the response itself.

A stream of server-sent events ends with ``data: [DONE]`` and, from an engine with the adapter, one comment line with
the report. :class:`EventStream` takes that comment out and leaves every other byte as it came. It holds the last
event back until the stream has ended, so that the gateway can settle the call before the client learns that it is
over: the program's next call then finds its service up to date.
"""

import json
from typing import Any

from autellix_core.errors import MalformedReport
from autellix_core.wire import REPORT_COMMENT, Report

__all__ = ["EventStream", "usage_of"]

_DONE = b"data: [DONE]"
_DATA = b"data:"
_REPORT = REPORT_COMMENT.encode()


class EventStream:
    """One response's bytes: ``feed`` what comes and send what that returns; ``finish`` returns what was held back.

    Whole lines are passed on, so a stream that breaks off leaves no half event behind.
    """

    def __init__(self) -> None:
        self.report: Report | None = None
        self.events = 0
        """Data events so far, ``[DONE]`` left out: as many as output tokens, nearly."""
        self.last_event = b""
        """The last of them, where usage is, if it is anywhere."""
        self._rest = b""
        self._held = bytearray()
        self._done = False
        self._after_report = False

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to pass on now."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        passed = bytearray()
        for line in lines:
            self._line(line + b"\n", passed)
        return bytes(passed)

    def finish(self) -> bytes:
        """The stream has ended: the bytes still to pass on."""
        return bytes(self._held) + self._rest

    def _line(self, line: bytes, passed: bytearray) -> None:
        if line.startswith(_REPORT):
            self._after_report = True
            self.report = _report(line.removeprefix(_REPORT))
            return
        if self._after_report and not line.strip():
            self._after_report = False  # the blank line that ends our comment
            return
        if line.startswith(_DONE):
            self._done = True
        elif line.startswith(_DATA):
            self.events += 1
            self.last_event = line
        if self._done:
            self._held += line
        else:
            passed += line


def usage_of(body: bytes) -> tuple[int, int] | None:
    """(prompt, output) tokens of a response's ``usage``, in JSON or an SSE data line, or None."""
    try:
        decoded: Any = json.loads(body.removeprefix(_DATA))
        usage = decoded["usage"]
        prompt, output = usage["prompt_tokens"], usage.get("completion_tokens", 0)
    except (ValueError, LookupError, TypeError):
        return None
    return (prompt, output) if isinstance(prompt, int) and isinstance(output, int) else None


def _report(text: bytes) -> Report | None:
    try:
        return Report.from_json(text)
    except MalformedReport:
        return None  # the call then counts as one without a report
