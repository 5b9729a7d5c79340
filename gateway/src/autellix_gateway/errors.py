"""What the gateway refuses a request with.

::

    AutellixError (core)
    └── Refusal               an answer that the gateway gives itself: status, code, and the field it is about
        ├── BadRequest        400: the request cannot be understood
        ├── BodyTooLarge      413
        ├── ModelNotFound     404
        ├── Unauthorized      401: the API key is missing or unknown
        ├── BadSession        401: the session token is forged, of an unknown key, another tenant's, or expired
        ├── SessionNotFound   404
        ├── Conflict          409: the program is another tenant's
        ├── Ended             410: the session was ended
        ├── TooManySessions   429
        ├── NotEnabled        501: the operator's routes, where the gateway was given no operator key
        ├── Unavailable       503: no engine takes calls now
        └── EngineFailed      502: an engine took the call and then failed
            └── EngineSilent  504: it sent nothing for too long
"""

from autellix_core.errors import AutellixError
from autellix_core.wire import ErrorCode

__all__ = [
    "BadRequest",
    "BadSession",
    "BodyTooLarge",
    "Conflict",
    "Ended",
    "EngineFailed",
    "EngineSilent",
    "ModelNotFound",
    "NotEnabled",
    "Refusal",
    "SessionNotFound",
    "TooManySessions",
    "Unauthorized",
    "Unavailable",
]


class Refusal(AutellixError):
    """An answer of the gateway's own that is not the service asked for."""

    status = 500
    code = ErrorCode.INTERNAL
    kind = "server_error"
    """The ``type`` of the error in OpenAI's words."""
    retry_after_s: int | None = None

    def __init__(self, message: str, *, param: str | None = None, code: ErrorCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        if code is not None:
            self.code = code


class BadRequest(Refusal):
    """The request cannot be understood."""

    status, code, kind = 400, ErrorCode.INVALID_REQUEST, "invalid_request_error"


class BodyTooLarge(Refusal):
    """The body is larger than the gateway takes."""

    status, code, kind = 413, ErrorCode.BODY_TOO_LARGE, "invalid_request_error"


class ModelNotFound(Refusal):
    """No engine serves the model."""

    status, code, kind = 404, ErrorCode.MODEL_NOT_FOUND, "invalid_request_error"


class Unauthorized(Refusal):
    """The API key is missing or unknown."""

    status, code, kind = 401, ErrorCode.INVALID_API_KEY, "authentication_error"


class BadSession(Refusal):
    """The session token is not good."""

    status, code, kind = 401, ErrorCode.INVALID_SESSION_TOKEN, "authentication_error"


class SessionNotFound(Refusal):
    """There is no such session."""

    status, code, kind = 404, ErrorCode.SESSION_NOT_FOUND, "invalid_request_error"


class Conflict(Refusal):
    """The program is another tenant's."""

    status, code, kind = 409, ErrorCode.INVALID_REQUEST, "invalid_request_error"


class NotEnabled(Refusal):
    """This gateway was not told to do that. It is no 404, which would say that a program is not there."""

    status, code, kind = 501, ErrorCode.NOT_ENABLED, "server_error"


class Ended(Refusal):
    """The session was ended."""

    status, code, kind = 410, ErrorCode.SESSION_ENDED, "invalid_request_error"


class TooManySessions(Refusal):
    """The key holds as many sessions as it may."""

    status, code, kind, retry_after_s = 429, ErrorCode.TOO_MANY_SESSIONS, "rate_limit_error", 60


class Unavailable(Refusal):
    """No engine takes calls now."""

    status, code, kind, retry_after_s = 503, ErrorCode.NO_ENGINE, "server_error", 1


class EngineFailed(Refusal):
    """An engine took the call and then failed."""

    status, code, kind = 502, ErrorCode.ENGINE_FAILED, "server_error"


class EngineSilent(EngineFailed):
    """An engine took the call and then sent nothing for too long."""

    status, code = 504, ErrorCode.ENGINE_SILENT
