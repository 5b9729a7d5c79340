"""A Kubernetes API server as far as discovery asks one: lists and watches of two kinds, with every failure on request.

Objects are put and deleted here, never by HTTP. The history is kept, so a watch goes on from the version that it names,
as long as that is not below ``oldest``.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

__all__ = ["POOLS", "SLICES", "ApiServer", "a_pool", "a_slice", "kubeconfig"]

POOLS, SLICES = "enginepools", "endpointslices"
NAMESPACE = "agents"


class ApiServer:
    """``asked`` holds the query of every request, its ``plural`` and ``authorization`` among them."""

    def __init__(self) -> None:
        self.version = 100
        self.oldest = 0
        self.status: dict[str, int] = {}
        """By ``list`` or ``watch``: what these are refused with."""
        self.asked: list[dict[str, str]] = []
        self.watching = 0
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._history: list[tuple[int, str, dict[str, Any]]] = []
        self._news = asyncio.Event()
        self._ends: type[BaseException] | None = None
        paths = (
            f"/apis/autellix.dev/v1alpha1/namespaces/{NAMESPACE}",
            f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}",
        )
        self.app = Starlette(
            routes=[Route(f"{path}/{plural}", self._get) for path, plural in zip(paths, (POOLS, SLICES), strict=True)]
        )

    def put(self, plural: str, thing: dict[str, Any]) -> None:
        """Create or change an object."""
        key = (plural, thing["metadata"]["name"])
        event = "MODIFIED" if key in self._objects else "ADDED"
        self._objects[key] = self._note(plural, event, thing)

    def delete(self, plural: str, name: str) -> None:
        """Delete an object."""
        self._note(plural, "DELETED", self._objects.pop((plural, name)))

    def bookmark(self, plural: str) -> None:
        """Tell watches of the latest version without an object."""
        self._note(plural, "BOOKMARK", {"kind": "any", "metadata": {}})

    def error(self, plural: str, code: int) -> None:
        """Have the watches of the moment told of an error."""
        status = {"kind": "Status", "code": code, "reason": "Expired", "message": "no more"}
        self._history.append((self.version, plural, {"type": "ERROR", "object": status}))
        self._wake()

    def forget_history(self) -> None:
        """Only watches from now on can be served."""
        self.oldest = self.version
        self._history.clear()

    def end_watches(self, *, broken: bool = False) -> None:
        """Have every watch of the moment end, or break off."""
        self._ends = _BrokenError if broken else StopAsyncIteration
        self._wake()
        self._ends = None

    def watches(self, plural: str) -> list[str]:
        """The versions that watches of a kind asked to go on from, in order."""
        return [query["resourceVersion"] for query in self.asked if query["plural"] == plural and "watch" in query]

    def lists(self, plural: str) -> int:
        """How often a kind was listed."""
        return sum(query["plural"] == plural and "watch" not in query for query in self.asked)

    def _note(self, plural: str, event: str, thing: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        now = {**thing, "metadata": {**thing["metadata"], "resourceVersion": str(self.version)}}
        self._history.append((self.version, plural, {"type": event, "object": now}))
        self._wake()
        return now

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.ends = self._ends  # type: ignore[attr-defined] # what those who wait for it are to do
        news.set()

    async def _get(self, request: Request) -> Response:
        plural, query = request.url.path.rpartition("/")[2], dict(request.query_params)
        self.asked.append({**query, "plural": plural, "authorization": request.headers.get("authorization", "")})
        if (status := self.status.get("watch" if "watch" in query else "list")) is not None:
            return JSONResponse({"kind": "Status", "code": status}, status_code=status)
        if "watch" in query:
            return StreamingResponse(self._events(plural, int(query["resourceVersion"])), media_type="application/json")
        items = [thing for (kind, _), thing in self._objects.items() if kind == plural]
        return JSONResponse({"kind": "List", "metadata": {"resourceVersion": str(self.version)}, "items": items})

    async def _events(self, plural: str, since: int) -> AsyncIterator[bytes]:
        if since < self.oldest:
            yield _line({"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}})
            return
        told = [index for index, (version, _, _) in enumerate(self._history) if version <= since]
        index = told[-1] + 1 if told else 0
        self.watching += 1
        try:
            while True:
                news = self._news
                for _, kind, event in self._history[index:]:
                    if kind == plural:
                        yield _line(event)
                index = len(self._history)
                await news.wait()
                if (ends := news.ends) is not None:  # type: ignore[attr-defined] # set when it was
                    if ends is StopAsyncIteration:
                        return
                    raise ends
        finally:
            self.watching -= 1


class _BrokenError(Exception):
    """The connection breaks here."""


def _line(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode() + b"\n"


def a_pool(
    name: str = "tiny", *, draining: tuple[str, ...] = (), model: str = "scripted", **hold: float
) -> dict[str, Any]:
    """An EnginePool."""
    return {
        "apiVersion": "autellix.dev/v1alpha1",
        "kind": "EnginePool",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"model": {"name": model}, "hold": hold},
        "status": {"draining": [{"engine": engine} for engine in draining]},
    }


def a_slice(pod: str, url: str, *, pool: str = "tiny", **conditions: Any) -> dict[str, Any]:
    """An EndpointSlice of one pod, of the pod's name."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    endpoint = {
        "addresses": [host],
        "conditions": {"ready": True, "serving": True, "terminating": False, **conditions},
        "targetRef": {"kind": "Pod", "name": pod, "namespace": NAMESPACE},
    }
    return {
        "metadata": {"name": pod, "namespace": NAMESPACE, "labels": {"autellix.dev/pool": pool}},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"name": "http", "port": int(port), "protocol": "TCP"}],
    }


def kubeconfig(path: Path, server: str) -> Path:
    """A kubeconfig for the server, written to ``path``."""
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {"token": "a-token"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    path.write_text(json.dumps(named))
    return path
