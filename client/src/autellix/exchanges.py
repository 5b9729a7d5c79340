"""Questions to a gateway's sessions API and what its answers mean; no I/O, so sync and async share every line.

An `Exchange` is one request and the reading of its answer. `send` and `send_async` carry one over a client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

import httpx2

from autellix import errors
from autellix.endpoints import Endpoint
from autellix_core import wire

__all__ = ["Exchange", "SessionsApi", "send", "send_async"]

Answer = TypeVar("Answer")

_MOST_SESSIONS = 1000


@dataclass(frozen=True, slots=True)
class Exchange(Generic[Answer]):
    """One request, and the function that reads its answer or raises what it means."""

    request: httpx2.Request
    read: Callable[[httpx2.Response], Answer]


@dataclass(frozen=True, slots=True)
class SessionsApi:
    """The verbs of `/v1/sessions` at one endpoint."""

    endpoint: Endpoint

    def start(self, model: str | None, *, mirror: bool = False) -> Exchange[wire.SessionJSON]:
        """Start a session; its answer is the session and its token."""
        wanted = {**({"model": model} if model else {}), **({"mirror": True} if mirror else {})}

        def started(response: httpx2.Response) -> wire.SessionJSON:
            answer = self._session(response)
            if "token" not in answer:
                raise self._not_a_gateway(response)
            return answer

        return Exchange(self._request("POST", "/sessions", wanted), started)

    def info(self, session_id: str) -> Exchange[wire.SessionJSON]:
        """One session as it is now; an ended one stays readable for a while."""
        return Exchange(self._request("GET", f"/sessions/{session_id}"), self._session)

    def listed(self) -> Exchange[list[wire.SessionJSON]]:
        """The sessions that this API key may see, as many as the gateway gives at once."""

        def rows(response: httpx2.Response) -> list[wire.SessionJSON]:
            data = self._json(response).get("data")
            if not isinstance(data, list):
                raise self._not_a_gateway(response)
            return data

        return Exchange(self._request("GET", f"/sessions?limit={_MOST_SESSIONS}"), rows)

    def end(self, session_id: str) -> Exchange[None]:
        """End a session. One that is not there any more is as good as ended."""

        def settled(response: httpx2.Response) -> None:
            if response.status_code not in {404, 410}:
                self._check(response)

        return Exchange(self._request("DELETE", f"/sessions/{session_id}"), settled)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> httpx2.Request:
        try:
            url = httpx2.URL(f"{self.endpoint.base_url}{path}")
        except (httpx2.InvalidURL, UnicodeError):
            url = httpx2.URL()
        if url.scheme not in {"http", "https"} or not url.host:
            raise errors.GatewayUnreachable(
                f"{self.endpoint.base_url} is not a URL; give one such as http://127.0.0.1:8080/v1."
            )
        headers = {"authorization": f"Bearer {self.endpoint.api_key}"}
        return httpx2.Request(method, url, headers=headers, json=body)

    def _session(self, response: httpx2.Response) -> wire.SessionJSON:
        answer = self._json(response)
        if "id" not in answer:
            raise self._not_a_gateway(response)
        return cast("wire.SessionJSON", answer)

    def _json(self, response: httpx2.Response) -> dict[str, Any]:
        self._check(response)
        try:
            answer = response.json()
        except ValueError as error:
            raise self._not_a_gateway(response) from error
        if not isinstance(answer, dict):
            raise self._not_a_gateway(response)
        return answer

    def _check(self, response: httpx2.Response) -> None:
        if response.is_success:
            return
        problem = _problem(response)
        if problem is None:
            raise self._not_a_gateway(response)
        raise errors.GatewayRefused(
            f"The gateway at {self.endpoint.base_url} refused: {problem['message']}",
            status=response.status_code,
            code=problem.get("code"),
        )

    def _not_a_gateway(self, response: httpx2.Response) -> errors.GatewayRefused:
        return errors.GatewayRefused(
            f"What answers at {self.endpoint.base_url} is not an Autellix gateway (HTTP {response.status_code} for "
            f"{response.request.url.path}); the base URL is the gateway's address followed by /v1.",
            status=response.status_code,
        )


def send(client: httpx2.Client, exchange: Exchange[Answer]) -> Answer:
    """Carry one exchange over a sync client."""
    with _reaching(exchange.request):
        response = client.send(exchange.request)
    return exchange.read(response)


async def send_async(client: httpx2.AsyncClient, exchange: Exchange[Answer]) -> Answer:
    """Carry one exchange over an async client."""
    with _reaching(exchange.request):
        response = await client.send(exchange.request)
    return exchange.read(response)


@contextmanager
def _reaching(request: httpx2.Request) -> Iterator[None]:
    address = f"{request.url.scheme}://{request.url.netloc.decode()}"
    try:
        yield
    except httpx2.TimeoutException as error:
        raise errors.GatewayUnreachable(
            f"The gateway at {address} did not answer in time; see whether it is healthy at {address}/readyz."
        ) from error
    except httpx2.TransportError as error:
        raise errors.GatewayUnreachable(
            f"No gateway answers at {address}; start one with `autellix up`, or set AUTELLIX_BASE_URL to where it is."
        ) from error


def _problem(response: httpx2.Response) -> Mapping[str, Any] | None:
    """The error in OpenAI's shape, if that is what the body holds."""
    try:
        problem = response.json()["error"]
        return problem if isinstance(problem["message"], str) else None
    except (ValueError, LookupError, TypeError):
        return None
