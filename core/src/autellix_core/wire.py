"""What crosses process borders: header names, the engine's report, a session as JSON, error codes.

The parts of Autellix never import one another; they meet over HTTP with exactly these shapes.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, NotRequired, Self, TypedDict

from autellix_core import program as programs
from autellix_core.errors import MalformedReport
from autellix_core.levels import Levels, level_of
from autellix_core.priority import Policy, entry_service
from autellix_core.program import Measured, Program

__all__ = [
    "CALL_HEADER",
    "ENGINE_HEADER",
    "HEADER_PREFIX",
    "LEVEL_HEADER",
    "POLICY_HEADER",
    "PROGRAM_HEADER",
    "PROGRAM_SERVICE_HEADER",
    "PROGRAM_WAIT_HEADER",
    "REPORT_COMMENT",
    "REPORT_HEADER",
    "SERVICE_HEADER",
    "SERVICE_SECONDS_HEADER",
    "SESSION_HEADER",
    "STATE_PATH",
    "STOCK_PRIORITY_HEADER",
    "WAIT_SECONDS_HEADER",
    "AbortedJSON",
    "CallHeaders",
    "EngineStateJSON",
    "ErrorCode",
    "Report",
    "SessionJSON",
    "session_json",
    "timestamp",
]

HEADER_PREFIX = "x-autellix-"
"""Every header of ours; on a call towards an engine, clients' own copies of them are dropped."""

SESSION_HEADER = "x-autellix-session"
"""Client to gateway: the signed token of ``POST /v1/sessions``."""

PROGRAM_HEADER = "x-autellix-program"
CALL_HEADER = "x-autellix-call"
SERVICE_HEADER = "x-autellix-service"
PROGRAM_WAIT_HEADER = "x-autellix-program-wait"
PROGRAM_SERVICE_HEADER = "x-autellix-program-service"
POLICY_HEADER = "x-autellix-policy"
STOCK_PRIORITY_HEADER = "x-vllm-priority"
"""Gateway to engine; see :class:`CallHeaders`. The last is for engines without the adapter."""

REPORT_HEADER = "x-autellix-report"
REPORT_COMMENT = ": autellix "
"""Engine to gateway: the report as a header of a whole response, or as an SSE comment line after ``[DONE]``."""

ENGINE_HEADER = "x-autellix-engine"
LEVEL_HEADER = "x-autellix-level"
WAIT_SECONDS_HEADER = "x-autellix-wait-seconds"
SERVICE_SECONDS_HEADER = "x-autellix-service-seconds"
"""Gateway to client, on responses."""

STATE_PATH = "/autellix/state"
"""Engine: its queues and the reports of aborted calls, as :class:`EngineStateJSON`."""

_LONGEST_ID = 256
_MOST_SECONDS = 1e9


class ErrorCode(StrEnum):
    """The ``code`` of an error that the gateway itself answers with."""

    INVALID_JSON = "invalid_json"
    INVALID_REQUEST = "invalid_request"
    BODY_TOO_LARGE = "body_too_large"
    MODEL_NOT_FOUND = "model_not_found"
    NOT_FOUND = "not_found"
    NOT_ENABLED = "not_enabled"
    INVALID_SESSION_TOKEN = "invalid_session_token"  # noqa: S105 - the name of an error
    SESSION_EXPIRED = "session_expired"
    SESSION_ENDED = "session_ended"
    SESSION_NOT_FOUND = "session_not_found"
    TOO_MANY_SESSIONS = "too_many_sessions"
    NO_ENGINE = "no_engine"
    ENGINE_FAILED = "engine_failed"
    ENGINE_SILENT = "engine_silent"
    INVALID_API_KEY = "invalid_api_key"
    INTERNAL = "internal_error"


class SessionJSON(TypedDict):
    """A program as the sessions API, ``autellix ps`` and ``ProgramSession.status`` show it."""

    id: str
    model: str
    tenant: str
    state: str
    calls: int
    active_calls: int
    service_seconds: float
    wait_seconds: float
    critical_path_seconds: float
    level: int
    engines: list[str]
    prompt_tokens: int
    output_tokens: int
    created_at: str
    last_arrival_at: str | None
    last_completion_at: str | None
    token: NotRequired[str]


class AbortedJSON(TypedDict):
    """An entry of ``aborted`` in the engine's state: a report that could not be given in band."""

    program: str
    report: dict[str, float | int | str]


class EngineStateJSON(TypedDict):
    """``GET /autellix/state`` of an engine with the adapter."""

    version: str
    """Of the engine underneath, such as vLLM's."""
    policy: str
    """Of calls that name none."""
    slots: int
    """Calls that its batch holds."""
    bounds_s: list[float]
    quanta_s: list[float | None]
    """The engine's levels; a quantum of None has no end."""
    beta: float | None
    levels: list[dict[str, int]]
    """``waiting`` and ``running`` calls, best level first."""
    running: list[dict[str, float | int | str]]
    waiting: int
    resident_blocks: dict[str, int]
    kv_usage: float
    aborted: list[AbortedJSON]
    counts: NotRequired[dict[str, Any]]
    """What the engine counted since it started, such as preemptions by cause; what there is, is its own affair."""


@dataclass(frozen=True, slots=True)
class CallHeaders:
    """What the gateway tells the engine of a call.

    ``service_s`` is the service that the call enters the queues with; ``program_wait_s`` and ``program_service_s`` are
    W and T of anti-starvation. All in seconds.
    """

    program: str
    call: str
    service_s: float = 0.0
    program_wait_s: float = 0.0
    program_service_s: float = 0.0
    policy: Policy = Policy.ATLAS

    def to_headers(self) -> dict[str, str]:
        """As HTTP headers. Floats are written so that they read back exactly."""
        return {
            PROGRAM_HEADER: self.program,
            CALL_HEADER: self.call,
            SERVICE_HEADER: repr(self.service_s),
            PROGRAM_WAIT_HEADER: repr(self.program_wait_s),
            PROGRAM_SERVICE_HEADER: repr(self.program_service_s),
            POLICY_HEADER: self.policy.value,
        }

    @classmethod
    def from_headers(
        cls, headers: Mapping[str, str], *, policy: Policy = Policy.ATLAS
    ) -> tuple[Self | None, tuple[str, ...]]:
        """Read the headers (lower-case names), whatever they hold.

        Returns the call, or None where no call id is given, and the names of the headers that were absurd: those
        count as absent, and a number beyond all bounds as the bound. ``policy`` is for calls that name none.
        """
        absurd: list[str] = []

        def seconds(name: str) -> float:
            text = headers.get(name)
            if text is None:
                return 0.0
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not 0.0 <= value <= _MOST_SECONDS:
                absurd.append(name)
                return _MOST_SECONDS if value > _MOST_SECONDS else 0.0
            return value

        def identity(name: str) -> str:
            text = headers.get(name, "")
            if len(text) > _LONGEST_ID or not text.isprintable():
                absurd.append(name)
                return ""
            return text

        named = headers.get(POLICY_HEADER)
        if named is not None:
            try:
                policy = Policy(named)
            except ValueError:
                absurd.append(POLICY_HEADER)
        call = identity(CALL_HEADER)
        read = cls(
            program=identity(PROGRAM_HEADER) or call,
            call=call,
            service_s=seconds(SERVICE_HEADER),
            program_wait_s=seconds(PROGRAM_WAIT_HEADER),
            program_service_s=seconds(PROGRAM_SERVICE_HEADER),
            policy=policy,
        )
        return (read if call else None), tuple(absurd)


@dataclass(frozen=True, slots=True)
class Report:
    """What an engine measured of one call. ``service_s + wait_s`` is the call's time in the engine."""

    call: str
    service_s: float
    wait_s: float
    level: int
    preemptions: int = 0
    demotions: int = 0
    promotions: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0

    @property
    def measured(self) -> Measured:
        """What the process table folds in."""
        return Measured(
            service_s=self.service_s,
            wait_s=self.wait_s,
            prompt_tokens=self.prompt_tokens,
            output_tokens=self.output_tokens,
        )

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.to_mapping(), separators=(",", ":"))

    def to_mapping(self) -> dict[str, str | float | int]:
        """Its fields by name."""
        return {name: getattr(self, name) for name in _REPORTED}

    def to_comment(self) -> bytes:
        """The SSE comment that ends a stream."""
        return f"{REPORT_COMMENT}{self.to_json()}\n\n".encode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read a report. Raises :class:`MalformedReport` unless every field is there, finite and not negative."""
        try:
            given = json.loads(text)
        except ValueError as error:
            raise MalformedReport(f"The engine's report is not JSON: {error}.") from error
        return cls.from_mapping(given)

    @classmethod
    def from_mapping(cls, given: object) -> Self:
        """The same from a decoded object. Raises :class:`MalformedReport`."""
        if not isinstance(given, Mapping):
            raise MalformedReport(f"The engine's report is not an object but {given!r}.")
        read: dict[str, str | float | int] = {}
        for field in fields(cls):
            value: Any = given.get(field.name)
            if field.type is str:
                good = isinstance(value, str)
            else:
                kinds = (int, float) if field.type is float else (int,)
                good = isinstance(value, kinds) and not isinstance(value, bool) and 0 <= value <= _MOST_SECONDS
            if not good:
                raise MalformedReport(f"The engine's report has {field.name} = {value!r}.")
            read[field.name] = value
        return cls(**read)  # type: ignore[arg-type] # each field was just checked against its type


_REPORTED = tuple(field.name for field in fields(Report))


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC, to the millisecond, of seconds since the epoch."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session_json(program: Program, *, policy: Policy, levels: Levels) -> SessionJSON:
    """A row of the process table as a session. ``level`` is the one that its next call would enter at."""
    entry_s = entry_service(policy, critical_path_s=program.critical_path_s, service_s=program.service_s)
    return {
        "id": program.id,
        "model": program.model,
        "tenant": program.tenant,
        "state": programs.state(program).value,
        "calls": program.calls,
        "active_calls": len(program.threads),
        "service_seconds": program.service_s,
        "wait_seconds": program.wait_s,
        "critical_path_seconds": program.critical_path_s,
        "level": level_of(levels.under(policy), entry_s),
        "engines": list(program.engines),
        "prompt_tokens": program.prompt_tokens,
        "output_tokens": program.output_tokens,
        "created_at": timestamp(program.created_at),
        "last_arrival_at": None if program.last_arrival_at is None else timestamp(program.last_arrival_at),
        "last_completion_at": (None if program.last_completion_at is None else timestamp(program.last_completion_at)),
    }
