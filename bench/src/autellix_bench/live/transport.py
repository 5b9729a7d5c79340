"""The seam between the driver and the network: one method, bytes in, bytes out."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import aiohttp

__all__ = ["HttpTransport", "Reply", "Transport", "Unreachable"]

_KEEP_ALIVE_S = 3.0
"""Less than the five seconds after which uvicorn, which serves nearly every engine, closes a connection: a call sent
at that moment would fail, and no server would be to blame."""


class Unreachable(Exception):
    """There is no answer, or no more of it."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response whose body is still coming. Iterating it may raise :class:`Unreachable`."""

    status: int
    headers: Mapping[str, str]
    """By names in lower case; a real one finds them in any."""
    body: AsyncIterator[bytes]


class Transport(Protocol):
    """What carries requests; a test gives one without sockets."""

    def send(
        self, method: str, url: str, *, headers: Mapping[str, str], body: bytes
    ) -> AbstractAsyncContextManager[Reply]:
        """Send a request. Leaving the context before the body's end closes the connection.

        :raises Unreachable: if there is no response.
        """


class HttpTransport:
    """The real one: a connection for each call that is under way, however many."""

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_S),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept-encoding": "identity", "content-type": "application/json"},
            skip_auto_headers=("User-Agent", "Accept"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()

    @asynccontextmanager
    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> AsyncIterator[Reply]:
        """See :class:`Transport`."""
        try:
            response = await self._http.request(method, url, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{url} cannot be reached: {error!r}") from error
        try:
            yield Reply(response.status, response.headers, _pieces(response))
        finally:
            response.close()  # one that was read to its end has given its connection back before


async def _pieces(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for piece in response.content.iter_any():
            yield piece
    except (aiohttp.ClientError, OSError) as error:
        raise Unreachable(f"The answer of {response.url} broke off: {error!r}") from error
