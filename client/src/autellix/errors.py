"""What can go wrong for a user of this package; every message is a sentence that says what to do.

AutellixError
├── GatewayError            of a gateway that is somebody else's
│   ├── GatewayUnreachable      nothing answered there
│   └── GatewayRefused          it answered with an error: `status`, `code`
├── StackError              of the stack that `autellix up` starts on this machine
│   ├── PartMissing             a program that it needs is not installed
│   ├── PortInUse
│   ├── PartEnded               a part ended by itself: `part`, `last_lines`
│   └── NotReady                a part did not become ready in time
└── ProgramFailed           an agent program of the demo did not get its answers
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AutellixError",
    "GatewayError",
    "GatewayRefused",
    "GatewayUnreachable",
    "NotReady",
    "PartEnded",
    "PartMissing",
    "PortInUse",
    "ProgramFailed",
    "StackError",
]


class AutellixError(Exception):
    """The root of this package's errors."""


class GatewayError(AutellixError):
    """The gateway could not do what was asked."""


class GatewayUnreachable(GatewayError):
    """Nothing answered at the base URL, or not in time."""


class GatewayRefused(GatewayError):
    """The gateway answered with an error. `status` is HTTP's; `code` is the gateway's own, where it gave one."""

    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class StackError(AutellixError):
    """The local stack could not be started, or did not stay up."""


class PartMissing(StackError):
    """A program that the stack needs is not installed."""


class PortInUse(StackError):
    """Somebody else listens on the port that the gateway was to have."""


class PartEnded(StackError):
    """A part of the stack ended by itself. `last_lines` are the end of its log."""

    def __init__(self, message: str, *, part: str, last_lines: Sequence[str] = ()) -> None:
        shown = "".join(f"\n  {line}" for line in last_lines)
        super().__init__(f"{message}{' The end of its log:' if shown else ''}{shown}")
        self.part = part
        self.last_lines = tuple(last_lines)


class NotReady(StackError):
    """A part of the stack did not become ready in time."""


class ProgramFailed(AutellixError):
    """An agent program of the demo did not get its answers."""
