"""How a call is passed to an engine: one method, bytes in, bytes out.

Nothing is decoded or rewritten. What can go wrong is told apart by whether the engine can have begun the call:
:class:`NotTaken` (another engine may be tried) and :class:`Broken` (it had begun to answer).
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import aiohttp

from autellix_core.errors import AutellixError

__all__ = ["Broken", "EngineAnswer", "EngineTransport", "HttpTransport", "NotTaken", "Silent"]


class NotTaken(AutellixError):
    """The engine did not answer at all: it is away, or went before its first byte."""


class Broken(AutellixError):
    """The engine's answer broke off."""


class Silent(AutellixError):
    """The engine sent nothing for longer than it may."""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """An engine's response: status, headers as they came, and the body in pieces as they come."""

    status: int
    headers: tuple[tuple[str, str], ...]
    """Names in lower case."""
    body: AsyncIterator[bytes]

    def header(self, name: str) -> str | None:
        """The first header of this name."""
        return next((value for given, value in self.headers if given == name), None)


class EngineTransport(Protocol):
    """The seam between a call and the network."""

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> AbstractAsyncContextManager[EngineAnswer]:
        """Send a call. Leaving the context before the body's end aborts it in the engine.

        Raises :class:`NotTaken`, :class:`Silent`; iterating the body raises :class:`Broken`, :class:`Silent`.
        """

    async def get_json(self, url: str, *, timeout_s: float) -> Any:
        """The decoded body of a GET. Raises :class:`NotTaken` unless the status is 200."""


class HttpTransport:
    """The real one. One connection pool for all engines."""

    def __init__(self, *, connect_s: float, silence_s: float) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s, sock_read=silence_s)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=self._timeout,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept-Encoding", "User-Agent", "Accept"),
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._http.close()

    @asynccontextmanager
    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> AsyncIterator[EngineAnswer]:
        """See :class:`EngineTransport`."""
        try:
            response = await self._http.post(url, data=body, headers=headers, allow_redirects=False)
        except (TimeoutError, aiohttp.SocketTimeoutError) as error:
            raise (NotTaken if isinstance(error, aiohttp.ConnectionTimeoutError) else Silent)(str(error)) from error
        except aiohttp.ClientError as error:
            raise NotTaken(str(error)) from error
        try:
            yield EngineAnswer(
                status=response.status,
                headers=tuple((name.lower(), value) for name, value in response.headers.items()),
                body=self._pieces(response),
            )
        finally:
            # A response that was read to its end has returned its connection; any other is cut off, which is how
            # the engine learns that nobody waits for the rest.
            response.close()

    async def get_json(self, url: str, *, timeout_s: float) -> Any:
        """See :class:`EngineTransport`."""
        try:
            async with self._http.get(
                url, headers={"accept-encoding": "identity"}, timeout=aiohttp.ClientTimeout(total=timeout_s)
            ) as response:
                if response.status != 200:
                    raise NotTaken(f"{url} answered with status {response.status}.")
                text = await response.read()
                return await response.json(content_type=None) if text.strip() else None
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise NotTaken(f"{url} cannot be read: {error}.") from error

    @staticmethod
    async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
        try:
            async for piece in response.content.iter_any():
                yield piece
        except TimeoutError as error:
            raise Silent(str(error)) from error
        except aiohttp.ClientError as error:
            raise Broken(str(error)) from error
