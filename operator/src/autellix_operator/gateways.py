"""What the operator asks of the gateways, over HTTP, as ``autellix_core.pools`` has it. Any of them answers for all."""

import json
from types import TracebackType
from typing import Any, Protocol, Self, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from autellix_core.pools import POOLS_PATH, PROGRAMS_PATH, NewProgramJSON, PoolsJSON, ProgramJSON, ProgramsJSON
from autellix_core.wire import ErrorCode
from autellix_operator.errors import GatewayAway, GatewayRefused

__all__ = ["Gateway", "HttpGateway"]

_AWAY = frozenset({401, 403, 408, 425})
"""Refused now, as while a key is being changed; nothing is concluded from it."""


class Gateway(Protocol):
    """Every verb raises :class:`~autellix_operator.errors.GatewayError`."""

    async def pools(self) -> PoolsJSON:
        """The demand on every pool."""
        ...

    async def programs(self, *, active_since: float, limit: int) -> ProgramsJSON:
        """Programs that something happened to since (the table's clock), the latest activity first; at most 5000."""
        ...

    async def program(self, program: str) -> ProgramJSON | None:
        """One program, or None where the gateways know none by that id."""
        ...

    async def open(self, wanted: NewProgramJSON) -> ProgramJSON:
        """Open a program, or find the open one of that id; either way with a new ``token``."""
        ...

    async def end(self, program: str) -> None:
        """End a program and abort its calls. One that is not known is fine."""
        ...


class HttpGateway:
    """The real ones, behind their Service; use as a context manager."""

    def __init__(self, url: str, *, key: str | None, timeout_s: float) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            headers={"Authorization": f"Bearer {key}"} if key else {},
            timeout=aiohttp.ClientTimeout(total=timeout_s),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def pools(self) -> PoolsJSON:
        """See :class:`Gateway`."""
        return cast(PoolsJSON, await self._ask("GET", POOLS_PATH))

    async def programs(self, *, active_since: float, limit: int) -> ProgramsJSON:
        """See :class:`Gateway`."""
        query = f"?active_since={active_since!r}&limit={limit}"
        return cast(ProgramsJSON, await self._ask("GET", PROGRAMS_PATH + query))

    async def program(self, program: str) -> ProgramJSON | None:
        """See :class:`Gateway`."""
        return cast(ProgramJSON | None, await self._ask("GET", _path(program), absent=True))

    async def open(self, wanted: NewProgramJSON) -> ProgramJSON:
        """See :class:`Gateway`."""
        return cast(ProgramJSON, await self._ask("POST", PROGRAMS_PATH, wanted))

    async def end(self, program: str) -> None:
        """See :class:`Gateway`."""
        await self._ask("DELETE", _path(program), absent=True)

    async def _ask(self, method: str, path: str, body: object = None, *, absent: bool = False) -> Any:
        """The decoded answer; None for a 404 where that is an answer."""
        asked = f"{method} {path.partition('?')[0]}"
        try:
            async with self._session.request(method, URL(self._url + path, encoded=True), json=body) as response:
                if response.status < 400:
                    return await response.json()
                code, said = _said(await response.text())
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise GatewayAway(
                f"The gateway at {self._url} did not answer {asked}: {str(error) or type(error).__name__}."
            ) from error
        if absent and code == ErrorCode.SESSION_NOT_FOUND:
            return None
        if response.status >= 500 or response.status in _AWAY:
            raise GatewayAway(f"The gateway does not serve {asked} now ({response.status}): {said}")
        raise GatewayRefused(said)


def _path(program: str) -> str:
    return f"{PROGRAMS_PATH}/{quote(program, safe='')}"


def _said(text: str) -> tuple[str, str]:
    """Code and sentence of an error, as gateways give them; a 404 of something else in between has no such code."""
    try:
        error = json.loads(text)["error"]
        return str(error.get("code")), str(error["message"])
    except (ValueError, LookupError, TypeError, AttributeError):
        return "", text[:200] or "it gave no reason."
