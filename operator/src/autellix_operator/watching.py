"""Hears of changes to our objects through kopf, which lists, watches, and comes back after 410, timeouts and outages.

kopf runs in a thread and an event loop of its own: when it ends it cancels every task of its loop that it did not know
before, and those of the operator are not its to end. Its handlers only pass on what they hear, so it writes nothing:
no finalizer, no annotation, no event of its own.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import kopf

from autellix_operator.apiserver import credentials
from autellix_operator.cluster import Kind

__all__ = ["Watch"]

_LOG = logging.getLogger(__name__)
_STOP_S = 4.0
_IDENTITY = "autellix-operator"
_AGAIN_S = (1.0, 2.0, 5.0, 10.0, 30.0)

Heard = Callable[[str, dict[str, Any]], None]
"""Called with LISTED, ADDED, MODIFIED or DELETED, and the object."""


class Watch:
    """One kopf operator; ``hear`` holds for each kind who is told of it, in the event loop that ``run`` runs in."""

    def __init__(self, hear: dict[Kind, Heard], *, namespaces: Sequence[str]) -> None:
        self._hear = hear
        self._everywhere = tuple(namespaces) == ("",)
        self._namespaces = () if self._everywhere else tuple(namespaces)

    async def run(self) -> None:
        """Watch until cancelled. kopf ends at an error in a stream that it does not know; it is started anew then."""
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._run_once()
                _LOG.warning("the watch ended; it is started anew")
            except Exception as error:  # noqa: BLE001 - whatever it is, watching goes on
                _LOG.warning("the watch failed and is started anew: %s", error)
            failures = 0 if loop.time() - began > 60.0 else failures + 1
            await asyncio.sleep(_AGAIN_S[min(failures, len(_AGAIN_S) - 1)])

    async def _run_once(self) -> None:
        loop = asyncio.get_running_loop()
        stop = threading.Event()
        ended: asyncio.Future[None] = loop.create_future()

        def end(error: BaseException | None) -> None:
            if not ended.done():
                ended.set_exception(error) if error is not None else ended.set_result(None)

        def body() -> None:
            failure: BaseException | None = None
            try:
                asyncio.run(self._kopf(loop, stop))
            except BaseException as error:  # noqa: BLE001 - it is raised where it is awaited
                failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            try:
                loop.call_soon_threadsafe(end, failure)
            except RuntimeError:
                return  # the operator did not wait for it, and its loop is closed

        threading.Thread(target=body, name="watch", daemon=True).start()
        try:
            await asyncio.shield(ended)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({ended}, timeout=_STOP_S)
            if ended.done():
                ended.exception()
            raise

    async def _kopf(self, loop: asyncio.AbstractEventLoop, stop: threading.Event) -> None:
        await kopf.operator(
            registry=_registry(self._hear, loop),
            settings=_settings(),
            standalone=True,
            clusterwide=self._everywhere,
            namespaces=self._namespaces,
            stop_flag=stop,
            # Else it asks for the user's name, which a container's numeric user has not.
            identity=_IDENTITY,  # type: ignore[arg-type] # kopf keeps its type of string to itself
        )


def _registry(hear: dict[Kind, Heard], loop: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind, heard in hear.items():
        _listen(registry, kind, heard, loop)
    return registry


def _listen(registry: kopf.OperatorRegistry, kind: Kind, heard: Heard, loop: asyncio.AbstractEventLoop) -> None:
    async def pass_on(*, event: Any, **_: Any) -> None:
        loop.call_soon_threadsafe(heard, event["type"] or "LISTED", dict(event["object"]))

    group, _, version = kind.api_version.rpartition("/")
    kopf.on.event(group=group, version=version, plural=kind.plural, registry=registry, id=kind.plural)(pass_on)


def _settings() -> kopf.OperatorSettings:
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True  # it would need to list namespaces and CustomResourceDefinitions
    # Streams that a load balancer has silently dropped are found out by their silence; a new one costs little.
    settings.watching.server_timeout = 290
    settings.watching.connect_timeout = 5
    settings.watching.reconnect_backoff = 1.0
    settings.watching.chunk_size = 500
    settings.networking.request_timeout = 30
    settings.networking.connect_timeout = 5
    # An API server that restarts is waited for, each time a little longer, before the watch begins anew.
    settings.networking.error_backoffs = (1, 1, 2, 3, 5, 8, 13, 21, 30, 30, 30, 30)
    settings.queueing.exit_timeout = 1.0
    settings.process.ultimate_exiting_timeout = None
    return settings


async def _login(**_: Any) -> kopf.ConnectionInfo:
    """The same credentials as the writing side's; kopf asks anew when they are refused."""
    found = await credentials()
    token = await found.get_api_key_with_prefix("BearerToken", "authorization")
    return kopf.ConnectionInfo(
        server=found.host,
        ca_path=found.ssl_ca_cert,
        token=token.removeprefix("Bearer ").removeprefix("bearer ") if token else None,
        certificate_path=found.cert_file,
        private_key_path=found.key_file,
        insecure=not found.verify_ssl,
    )
