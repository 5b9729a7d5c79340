""":class:`~autellix_operator.cluster.Cluster` over a real API server."""

import asyncio
import hashlib
import json
import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import aiohttp
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from autellix_operator.cluster import EVENT, FIELD_MANAGER, Kind, kind_of
from autellix_operator.errors import (
    ClusterAway,
    ClusterError,
    Conflicted,
    NamespaceEnding,
    NotThere,
    Refused,
)

__all__ = ["ApiServer", "credentials"]

_LOG = logging.getLogger(__name__)
_APPLY = "application/apply-patch+yaml"
_MERGE = "application/merge-patch+json"
_TIMEOUT = aiohttp.ClientTimeout(total=15.0, connect=5.0)
_PAUSES_S = (0.2, 0.8, 3.0)
"""Between one attempt and the next; what fails after the last is raised."""
_LONGEST_RETRY_AFTER_S = 10.0
_PAGE = 500
_SAME_EVENT_S = 600.0
_EVENTS_REMEMBERED = 4096
_LONGEST_NOTE = 1024


async def credentials() -> Configuration:
    """Those of the pod's service account, whose token is read anew as it rotates, else of the kubeconfig."""
    loaded = Configuration()
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        config.load_incluster_config(client_configuration=loaded)  # type: ignore[no-untyped-call]
    else:
        await config.load_kube_config(client_configuration=loaded)  # type: ignore[no-untyped-call]
    return loaded


class ApiServer:
    """The real cluster. ``wrote`` hears of each write that was accepted, as (verb, kind); use as a context manager."""

    def __init__(
        self,
        configuration: Configuration,
        *,
        wrote: Callable[[str, str], None] = lambda _verb, _kind: None,
        now: Callable[[], float] = lambda: datetime.now(UTC).timestamp(),
    ) -> None:
        self._client = ApiClient(configuration)
        self._wrote = wrote
        self._now = now
        self._told: OrderedDict[str, float] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()  # type: ignore[no-untyped-call]

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        return await self._apply(body, "")

    async def apply_status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        return await self._apply(body, "status")

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        try:
            return await self._ask("GET", kind.path(namespace, name))
        except NotThere:
            return None

    async def list(
        self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        query = {"limit": str(_PAGE)}
        if labels:
            query["labelSelector"] = ",".join(f"{name}={value}" for name, value in labels.items())
        found: list[dict[str, Any]] = []
        restarted = False
        while True:
            try:
                page = await self._ask("GET", kind.path(namespace), query)
            except _Expired as error:
                # The list was paged for longer than the server keeps its snapshot: from the start, once.
                if restarted:
                    raise ClusterAway(str(error)) from error
                restarted, found = True, []
                query.pop("continue", None)
                continue
            named = {"apiVersion": kind.api_version, "kind": kind.kind}
            found += [{**item, **named} for item in page.get("items") or ()]
            if not (rest := page.get("metadata", {}).get("continue")):
                return found
            query["continue"] = rest

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any] | None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        query = {"fieldManager": FIELD_MANAGER}
        try:
            done = await self._ask("PATCH", kind.path(namespace, name), query, patch, _MERGE)
        except NotThere:
            return None
        self._wrote("patch", kind.kind)
        return done

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        options: dict[str, Any] = {"propagationPolicy": "Background"}
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        try:
            await self._ask("DELETE", kind.path(namespace, name), body=options)
        except (NotThere, Conflicted):
            return  # a conflict says that the name is another object's by now
        self._wrote("delete", kind.kind)

    async def event(self, about: Mapping[str, Any], *, reason: str, message: str, warning: bool = False) -> None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        metadata = about["metadata"]
        now_s = self._now()
        note = message[:_LONGEST_NOTE]
        same = hashlib.sha256("\0".join((metadata["uid"], reason, note)).encode()).hexdigest()[:16]
        if now_s - self._told.get(same, -_SAME_EVENT_S) < _SAME_EVENT_S:
            return
        # The name repeats what the event says, so that an operator that started anew does not say it twice either.
        name = f"{metadata['name'][:200]}.{same}{int(now_s // _SAME_EVENT_S) & 0xFFFFFF:06x}"
        body = {
            "apiVersion": EVENT.api_version,
            "kind": EVENT.kind,
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "eventTime": datetime.fromtimestamp(now_s, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": socket.gethostname()[:128],
            "action": reason,
            "reason": reason,
            "type": "Warning" if warning else "Normal",
            "note": note,
            "regarding": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
            },
        }
        try:
            await self._ask("POST", EVENT.path(metadata["namespace"]), {"fieldManager": FIELD_MANAGER}, body)
            self._wrote("create", EVENT.kind)
        except Conflicted:
            pass
        except ClusterError as error:
            _LOG.warning("no event %s about %s: %s", reason, metadata["name"], error)
            return
        self._told[same] = now_s
        self._told.move_to_end(same)
        while len(self._told) > _EVENTS_REMEMBERED:
            self._told.popitem(last=False)

    async def _apply(self, body: Mapping[str, Any], subresource: str) -> dict[str, Any]:
        kind, metadata = kind_of(body), body["metadata"]
        path = kind.path(metadata["namespace"], metadata["name"], subresource)
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        done = await self._ask("PATCH", path, query, body, _APPLY)
        self._wrote(f"apply {subresource}".strip(), kind.kind)
        return done

    async def _ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> dict[str, Any]:
        for pause_s in (*_PAUSES_S, None):
            try:
                return await self._ask_once(method, path, query, body, content_type)
            except _Busy as error:
                if pause_s is None:
                    raise ClusterAway(str(error)) from error
                await asyncio.sleep(error.retry_after_s or pause_s)
        raise AssertionError("the last attempt returns or raises")

    async def _ask_once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Mapping[str, Any] | None,
        content_type: str,
    ) -> dict[str, Any]:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        try:
            request = await self._client.param_serialize(
                method,
                path,
                query_params=list((query or {}).items()),
                header_params=headers,
                body=body,
                auth_settings=["BearerToken"],
            )
            response = await self._client.call_api(*request, _request_timeout=_TIMEOUT)
            raw = await response.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, TimeoutError, OSError, config.ConfigException) as error:
            raise _Busy(
                f"The API server did not answer {method} {path}: {str(error) or type(error).__name__}."
            ) from error
        answer = _decoded(raw)
        if 200 <= response.status < 300:
            return answer
        raise _error(response.status, f"{method} {path}", answer, response.headers.get("Retry-After"))


class _Busy(ClusterError):
    """It may pass."""

    def __init__(self, message: str, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class _Expired(ClusterError):
    """410: the list's snapshot is no longer kept."""


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(raw)
    except ValueError:  # something before the server may answer in its place, with a page
        return {"message": raw[:200].decode(errors="replace")}
    return answer if isinstance(answer, dict) else {}


def _error(status: int, asked: str, answer: Mapping[str, Any], retry_after: str | None) -> ClusterError:
    said = str(answer.get("message") or answer.get("reason") or "no reason given").rstrip(".")
    message = f"The API server answered {asked} with {status}: {said}."
    causes = (answer.get("details") or {}).get("causes") or ()
    match status:
        case 404:
            return NotThere(message)
        case 409:
            return Conflicted(message)
        case 410:
            return _Expired(message)
        case 403 if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            return NamespaceEnding(message)
        case 401 | 429:  # a token that just rotated is not known everywhere yet
            return _Busy(message, _seconds(retry_after))
        case _ if status >= 500:
            return _Busy(message, _seconds(retry_after))
        case _:
            return Refused(message)


def _seconds(retry_after: str | None) -> float:
    try:
        return min(max(float(retry_after or 0), 0.0), _LONGEST_RETRY_AFTER_S)
    except ValueError:
        return 0.0
