"""What the operator asks of the gateways, over HTTP, as ``autellix_core.pools`` has it. Any of them answers for all."""

import json
from types import TracebackType
from typing import Any, Protocol, Self, cast
from urllib.parse import quote

import aiohttp
from yarl import URL

from autellix_core.pools import POOLS_PATH, PROGRAMS_PATH, NewProgramJSON, PoolsJSON, ProgramJSON, ProgramsJSON
from autellix_operator.errors import GatewayAway, GatewayRefused

__all__ = ["Gateway", "HttpGateway"]

_AWAY = frozenset({401, 403, 408, 425, 429})
"""Refused today, as while a key is being changed; a later try may be served, so nothing is concluded from it."""


class Gateway(Protocol):
    """Every verb raises :class:`~autellix_operator.errors.GatewayError`."""

    async def pools(self) -> PoolsJSON:
        """The demand on every pool."""
        ...

    async def programs(self, *, active_since: float, limit: int) -> ProgramsJSON:
        """Programs that something happened to since (the table's clock), the latest activity first."""
        ...

    async def program(self, program: str) -> ProgramJSON | None:
        """One program, or None where the gateways know none by that id."""
        ...

    async def open(self, wanted: NewProgramJSON) -> ProgramJSON:
        """Open a program, or find the one of that id; either way with a new ``token``."""
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
                if response.status == 404 and absent:
                    return None
                if response.status >= 500 or response.status in _AWAY:
                    said = (await response.text())[:200]
                    raise GatewayAway(f"The gateway cannot serve {asked} now ({response.status}: {said}).")
                if response.status >= 400:
                    raise GatewayRefused(_said(response.status, asked, await response.text()))
                if response.status == 204:
                    return None
                return await response.json()
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise GatewayAway(
                f"The gateway at {self._url} did not answer {asked}: {str(error) or type(error).__name__}."
            ) from error


def _path(program: str) -> str:
    return f"{PROGRAMS_PATH}/{quote(program, safe='')}"


def _said(status: int, asked: str, text: str) -> str:
    """The gateway's own sentence, if it gave one."""
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        return f"The gateway refused {asked} ({status}: {text[:200]})."
