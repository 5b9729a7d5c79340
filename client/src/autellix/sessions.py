"""Sessions: one agentic program, from its first call to its end, as the gateway sees it.

    import autellix

    with autellix.session() as s:
        s.client.chat.completions.create(model="autellix-tiny", messages=[...])

    async with autellix.session() as s:
        await s.async_client.chat.completions.create(...)

The session is the paper's `start_session` / `end_session` pair (section 5): it ends when the program completes
or fails. Its token rides on every call as a header, so any client that can send headers can take part
(`s.headers`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

import anyio
import httpx2

from autellix import errors
from autellix.endpoints import Endpoint
from autellix.exchanges import SessionsApi, send, send_async
from autellix_core import wire

if TYPE_CHECKING:
    import openai

__all__ = ["AsyncSession", "OpenSession", "Session", "SessionScope", "session"]

_log = logging.getLogger("autellix")
_TIMEOUT_S = httpx2.Timeout(10.0)


def session(
    base_url: str | None = None,
    api_key: str | None = None,
    model: str | None = None,
    *,
    mirror: bool = False,
) -> SessionScope:
    """A session to enter with `with` or `async with`; nothing is sent before that.

    `base_url` defaults to AUTELLIX_BASE_URL, then to the gateway that `autellix up` starts; `api_key` to
    AUTELLIX_API_KEY, then OPENAI_API_KEY. `model` is shown beside the session; calls still name
    theirs. With `mirror`, Kubernetes shows the session from its start (`kubectl get psess`), not only once it is old.

    :raises GatewayUnreachable: on entering, if no gateway answers.
    :raises GatewayRefused: on entering, if it will not start a session.
    """
    return SessionScope(Endpoint.find(base_url, api_key), model, mirror=mirror)


class OpenSession:
    """What a session offers whichever way it was entered."""

    def __init__(self, endpoint: Endpoint, started: wire.SessionJSON, model: str | None) -> None:
        self.id: str = started["id"]
        self.model = model
        self.base_url = endpoint.base_url
        self.headers: dict[str, str] = {wire.SESSION_HEADER: started["token"]}
        self._endpoint = endpoint
        self._api = SessionsApi(endpoint)

    @cached_property
    def client(self) -> openai.OpenAI:
        """An OpenAI client whose calls belong to this session."""
        import openai

        return openai.OpenAI(base_url=self.base_url, api_key=self._endpoint.api_key, default_headers=self.headers)

    @cached_property
    def async_client(self) -> openai.AsyncOpenAI:
        """An async OpenAI client whose calls belong to this session; enter it with `async with` to have it closed."""
        import openai

        return openai.AsyncOpenAI(base_url=self.base_url, api_key=self._endpoint.api_key, default_headers=self.headers)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id} at {self.base_url}>"


class Session(OpenSession):
    """A session entered with `with`."""

    def info(self) -> wire.SessionJSON:
        """The session as the gateway's process table has it now."""
        with httpx2.Client(timeout=_TIMEOUT_S) as http:
            return send(http, self._api.info(self.id))

    def end(self) -> None:
        """End it now; leaving the block does so too. A gateway that is away is logged, not raised."""
        if "client" in self.__dict__:
            self.client.close()
        with _unheard(self.id), httpx2.Client(timeout=_TIMEOUT_S) as http:
            send(http, self._api.end(self.id))


class AsyncSession(OpenSession):
    """A session entered with `async with`."""

    async def info(self) -> wire.SessionJSON:
        """The session as the gateway's process table has it now."""
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as http:
            return await send_async(http, self._api.info(self.id))

    async def end(self) -> None:
        """End it now; leaving the block does so too. A gateway that is away is logged, not raised."""
        if "client" in self.__dict__:
            self.client.close()
        if "async_client" in self.__dict__:
            await self.async_client.close()
        with _unheard(self.id):
            async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as http:
                await send_async(http, self._api.end(self.id))


class SessionScope:
    """Starts a session on entering and ends it on leaving, also when the program failed or was cancelled."""

    def __init__(self, endpoint: Endpoint, model: str | None, *, mirror: bool = False) -> None:
        self._endpoint = endpoint
        self._model = model
        self._start = SessionsApi(endpoint).start(model, mirror=mirror)
        self._entered: list[Session | AsyncSession] = []

    def __enter__(self) -> Session:
        with httpx2.Client(timeout=_TIMEOUT_S) as http:
            started = send(http, self._start)
        opened = Session(self._endpoint, started, self._model)
        self._entered.append(opened)
        return opened

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened = self._entered.pop()
        assert isinstance(opened, Session)
        opened.end()

    async def __aenter__(self) -> AsyncSession:
        async with httpx2.AsyncClient(timeout=_TIMEOUT_S) as http:
            started = await send_async(http, self._start)
        opened = AsyncSession(self._endpoint, started, self._model)
        self._entered.append(opened)
        return opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opened = self._entered.pop()
        assert isinstance(opened, AsyncSession)
        with anyio.CancelScope(shield=True):  # a cancelled program is over too, and the gateway should know
            await opened.end()


@contextmanager
def _unheard(session_id: str) -> Iterator[None]:
    """A program that has its answers, or an error of its own, is not to fail for want of a goodbye."""
    try:
        yield
    except errors.GatewayError as error:
        _log.warning("Session %s was not ended (%s); it expires by itself.", session_id, error)
