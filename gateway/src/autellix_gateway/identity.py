"""Whose call it is: the tenant behind an API key, and the program that a call belongs to.

A program is named by the first of: our signed session token; an id that agents already send (a configurable list of
headers); else the call is a program of its own. Ids that are not signed are namespaced by tenant, so no client can
name another's program; a signed token is bound to the tenant that opened the session. A token that the operator asked
for stands for its tenant by itself, which has no API key: whoever may read its Secret may call.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import jwt

from autellix_core.program import ProgramId
from autellix_core.wire import SESSION_HEADER, ErrorCode
from autellix_gateway.errors import BadRequest, BadSession, Unauthorized

__all__ = ["ANONYMOUS", "Identities", "Named", "SessionTokens", "new_session_id"]

ANONYMOUS = "anonymous"
"""The tenant of calls without an API key."""

_LONGEST_ID = 200
_ALGORITHM = "HS256"


def new_session_id() -> ProgramId:
    """An id that cannot be guessed."""
    return ProgramId(f"ses_{secrets.token_hex(12)}")


@dataclass(frozen=True, slots=True)
class Named:
    """The program that a call's headers name; ``program`` is None for a call that names none."""

    tenant: str
    program: ProgramId | None


class SessionTokens:
    """Signs and checks session tokens. The first secret signs; all are accepted, so a key can be rotated.

    Checking costs one HMAC whatever the token holds, and no look-up.
    """

    def __init__(self, signing: Sequence[str], *, ttl_s: float) -> None:
        keys = [hashlib.sha256(secret.encode()).digest() for secret in signing or [secrets.token_hex(32)]]
        self._keys = {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}
        self._signer = next(iter(self._keys))
        self._ttl_s = ttl_s

    def sign(self, program: ProgramId, tenant: str, *, now: float, alone: bool = False) -> str:
        """A token for one session, good for the time to live. ``alone``: its holder needs no API key."""
        claims = {"sid": program, "ten": tenant, "iat": int(now), "exp": int(now + self._ttl_s)}
        if alone:
            claims["alone"] = True
        return jwt.encode(claims, self._keys[self._signer], algorithm=_ALGORITHM, headers={"kid": self._signer})

    def named(self, token: str, tenant: Callable[[], str]) -> Named:
        """The program that a token names. ``tenant``: who shows it, asked for unless the token stands for itself.

        Raises :class:`BadSession` unless it is good for this tenant now, and what ``tenant`` raises.
        """
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(token, key, algorithms=[_ALGORITHM], options={"require": ["sid", "ten", "exp"]})
        except jwt.ExpiredSignatureError:
            raise BadSession(
                "The session token has expired; open a new session with POST /v1/sessions.",
                code=ErrorCode.SESSION_EXPIRED,
            ) from None
        except (jwt.InvalidTokenError, KeyError, TypeError):
            raise BadSession(
                f"The session token in {SESSION_HEADER} was not signed by this gateway; "
                "use the token that POST /v1/sessions returned, unchanged."
            ) from None
        owner = str(claims["ten"])
        if claims.get("alone") is not True and not hmac.compare_digest(owner.encode(), tenant().encode()):
            raise BadSession("The session token belongs to another API key; use the key that opened the session.")
        return Named(owner, ProgramId(str(claims["sid"])))


class Identities:
    """Reads tenants and programs off request headers (lower-case names)."""

    def __init__(
        self, tokens: SessionTokens, *, session_headers: Sequence[str] = ("x-session-id",), api_keys: Sequence[str] = ()
    ) -> None:
        self._tokens = tokens
        self._session_headers = tuple(_alike(name) for name in session_headers)
        self._tenants = frozenset(_tenant(key) for key in api_keys)

    @property
    def open(self) -> bool:
        """No API keys are configured: everybody who reaches the gateway is trusted to look."""
        return not self._tenants

    def tenant(self, headers: Mapping[str, str]) -> str:
        """The tenant of a request: a digest of its API key. Raises :class:`Unauthorized` for an unknown key."""
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            key = headers.get("x-api-key", "")
        tenant = _tenant(key.strip()) if key.strip() else ANONYMOUS
        if self._tenants and tenant not in self._tenants:
            raise Unauthorized(
                "The API key is missing or unknown here; send one that this gateway was given, as a Bearer token."
            )
        return tenant

    def named(self, headers: Mapping[str, str]) -> Named:
        """The program that a request belongs to.

        Raises :class:`BadSession` for a token that is not good, :class:`BadRequest` for an id that cannot be one.
        """
        token = headers.get(SESSION_HEADER)
        if token is not None:
            return self._tokens.named(token, lambda: self.tenant(headers))
        tenant = self.tenant(headers)
        given = {_alike(name): value for name, value in headers.items()}
        for name in self._session_headers:
            client_id = given.get(name, "").strip()
            if not client_id:
                continue
            if len(client_id) > _LONGEST_ID or not client_id.isascii() or not client_id.isprintable():
                raise BadRequest(
                    f"A session id is at most {_LONGEST_ID} printable ASCII characters; send a shorter {name}.",
                    param=name,
                )
            return Named(tenant, ProgramId(f"{tenant}:{client_id}"))
        return Named(tenant, None)


def _alike(name: str) -> str:
    return name.lower().replace("_", "-")


def _tenant(key: str) -> str:
    return f"key-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
