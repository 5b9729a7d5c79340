"""Follows one kind of Kubernetes object in one namespace: listed once, then watched.

A watch goes on from the last version that was heard of, bookmarks included, so one that ends or breaks loses nothing.
Where the API server cannot go on from that version (410 Gone) everything is listed anew. While it is away, what was
known stays, and it is tried again with growing pauses: it is told once that it went, and once that it is back.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from autellix_core.errors import AutellixError

__all__ = ["Kind", "Pauses", "Watch"]

_LOG = logging.getLogger(__name__)
_LIST_S = 30.0
_WATCH_S = 120
"""The API server ends a watch after so long, so that one over a dead connection is not believed much longer."""
_GRACE_S = 10.0
_CANNOT_GO_ON = frozenset((400, 410, 504))
"""How a watch is refused whose version is none, too old, or (after a restore) newer than the server's latest."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object as the API server's paths name it, and which of them."""

    group: str
    version: str
    plural: str
    labels: str = ""
    """A label selector."""


@dataclass(frozen=True, slots=True)
class Pauses:
    """Seconds between attempts: doubled each time up to the longest, and each a random half to whole of that."""

    first_s: float = 0.2
    longest_s: float = 10.0

    def after(self, failures: int) -> float:
        """The pause after so many failures in a row."""
        pause_s = min(self.longest_s, self.first_s * 2.0 ** min(failures, 30))
        return pause_s * random.uniform(0.5, 1.0)  # noqa: S311 - spreads gateways out, no secret


class _GoneError(AutellixError):
    """Nothing can be watched from this version on."""


class _AwayError(AutellixError):
    """The API server refuses."""


class Watch:
    """The objects of one kind. ``api`` is a ``kubernetes.aio`` client; ``changed`` is given all objects there are."""

    def __init__(
        self,
        api: Any,
        kind: Kind,
        namespace: str,
        changed: Callable[[Collection[Mapping[str, Any]]], None],
        *,
        pauses: Pauses | None = None,
    ) -> None:
        self._api = api
        self._kind = kind
        self._path = f"/apis/{kind.group}/{kind.version}/namespaces/{namespace}/{kind.plural}"
        self._changed = changed
        self._pauses = Pauses() if pauses is None else pauses
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._version: str | None = None
        self._failures = 0
        self._is_away = False

    async def run(self) -> None:
        """List and watch until cancelled."""
        while True:
            try:
                if self._version is None:
                    await self._list()
                await self._watch(self._version)
            except _GoneError:
                self._version = None
                self._failures += 1
            except (_AwayError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
                self._away(error)
            except Exception:  # noqa: BLE001 - one that stopped would be missed only much later
                _LOG.exception("the watch of %s failed", self._kind.plural)
                self._version = None
                self._failures += 1
            await asyncio.sleep(self._pauses.after(self._failures))

    async def _list(self) -> None:
        async with self._asked(aiohttp.ClientTimeout(total=_LIST_S)) as response:
            listed = json.loads(await response.read())
        self._objects = {_name(thing): thing for thing in listed.get("items") or ()}
        self._version = str(listed["metadata"]["resourceVersion"])
        self._changed(self._objects.values())

    async def _watch(self, version: str | None) -> None:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_S),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_LIST_S, sock_read=_WATCH_S + _GRACE_S)
        async with self._asked(timeout, **query) as response:
            self._heard()
            rest = b""
            async for piece in response.content.iter_any():
                *lines, rest = (rest + piece).split(b"\n")
                self._take_all(json.loads(line) for line in lines if line.strip())

    def _take_all(self, events: Iterable[Mapping[str, Any]]) -> None:
        is_changed = False
        try:
            for event in events:
                is_changed |= self._take(event)
        finally:
            if is_changed:
                self._changed(self._objects.values())

    def _take(self, event: Mapping[str, Any]) -> bool:
        """Note one event; whether it changed an object."""
        kind, thing = event["type"], event["object"]
        if kind == "ERROR":
            said = f"{thing.get('reason')}: {thing.get('message')}"
            raise (_GoneError if thing.get("code") in _CANNOT_GO_ON else _AwayError)(said)
        self._version = str(thing["metadata"]["resourceVersion"])
        if kind == "BOOKMARK":
            return False
        if kind == "DELETED":
            return self._objects.pop(_name(thing), None) is not None
        self._objects[_name(thing)] = thing
        return True

    @asynccontextmanager
    async def _asked(
        self, timeout: aiohttp.ClientTimeout, **query: str | None
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """A GET of the path, below the generated methods: those know neither pools nor a timeout of silence."""
        if self._kind.labels:
            query["labelSelector"] = self._kind.labels
        serialized = await self._api.param_serialize(
            "GET",
            self._path,
            query_params=list(query.items()),
            header_params={"Accept": "application/json"},
            auth_settings=["BearerToken"],
        )
        response: aiohttp.ClientResponse = (await self._api.call_api(*serialized, _request_timeout=timeout)).response
        try:
            if response.status != 200:
                said = f"{self._path} answered with status {response.status}{_advice(response.status)}"
                can_go_on = "watch" not in query or response.status not in _CANNOT_GO_ON
                raise (_AwayError if can_go_on else _GoneError)(said)
            yield response
        finally:
            response.close()

    def _heard(self) -> None:
        if self._is_away:
            _LOG.info("the API server tells of %s again", self._kind.plural)
        self._failures, self._is_away = 0, False

    def _away(self, error: Exception) -> None:
        if not self._is_away:
            _LOG.warning(
                "the API server does not tell of %s, going on with what is known: %s",
                self._kind.plural,
                str(error) or type(error).__name__,
            )
        self._failures, self._is_away = self._failures + 1, True


def _name(thing: Mapping[str, Any]) -> str:
    return str(thing["metadata"]["name"])


def _advice(status: int) -> str:
    match status:
        case 401 | 403:
            return "; allow the gateway's service account to list and watch it."
        case 404:
            return "; install its CustomResourceDefinition."
        case _:
            return "."
