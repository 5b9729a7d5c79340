"""Which engines there are, and how they are: up or down, what they serve, whether they have the adapter."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from autellix_core.program import EngineId
from autellix_core.wire import STATE_PATH
from autellix_gateway.engines.transport import EngineTransport, NotTaken

__all__ = ["Engine", "Engines"]

_LOG = logging.getLogger(__name__)
_ASK_S = 2.0
_FAILURES_UNTIL_DOWN = 3


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine, as it was when last asked."""

    id: EngineId
    url: str
    up: bool = False
    adapter: bool = False
    """It reports measured service and wait, and orders by program."""
    models: tuple[dict[str, Any], ...] = ()
    """Its entries of ``/v1/models``."""
    failures: int = 0

    def serves(self, model: str) -> bool:
        """Whether a call for the model can go here."""
        return any(entry.get("id") == model for entry in self.models)


class Engines:
    """A static list of engines, each asked for its health in turn."""

    def __init__(self, urls: Sequence[str], transport: EngineTransport) -> None:
        self._transport = transport
        self._engines = {engine.id: engine for engine in (Engine(_id_of(url), url) for url in urls)}

    def all(self) -> Sequence[Engine]:
        """Every engine, in the order given."""
        return tuple(self._engines.values())

    def ready(self, model: str | None = None) -> Sequence[Engine]:
        """Engines that take calls, for one model or for any."""
        return tuple(
            engine for engine in self._engines.values() if engine.up and (model is None or engine.serves(model))
        )

    def get(self, engine: EngineId) -> Engine:
        """One engine. Raises KeyError."""
        return self._engines[engine]

    def models(self) -> list[dict[str, Any]]:
        """What is served, one entry a model, as the engines that serve it describe it."""
        served: dict[str, dict[str, Any]] = {}
        for engine in self.ready():
            for entry in engine.models:
                served.setdefault(str(entry.get("id")), entry)
        return list(served.values())

    def failed(self, engine: EngineId) -> None:
        """A call could not reach the engine: nothing is sent there until it answers again."""
        self._put(replace(self._engines[engine], up=False, failures=_FAILURES_UNTIL_DOWN))

    async def watch(self, interval_s: float) -> None:
        """Ask every engine again and again, each on its own, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for engine in tuple(self._engines):
                tasks.create_task(self._watch_one(engine, interval_s))

    async def refresh(self) -> None:
        """Ask every engine once."""
        await asyncio.gather(*(self._ask(engine) for engine in tuple(self._engines)))

    async def _watch_one(self, engine: EngineId, interval_s: float) -> None:
        while True:
            await self._ask(engine)
            await asyncio.sleep(interval_s)

    async def _ask(self, engine: EngineId) -> None:
        before = self._engines[engine]
        try:
            await self._transport.get_json(f"{before.url}/health", timeout_s=_ASK_S)
            now = replace(before, failures=0) if before.up else await self._describe(before)
        except NotTaken:
            before = self._engines[engine]  # a call may have found it away while this was asked
            failures = before.failures + 1
            now = replace(before, failures=failures, up=before.up and failures < _FAILURES_UNTIL_DOWN)
        self._put(now)

    async def _describe(self, engine: Engine) -> Engine:
        listed = await self._transport.get_json(f"{engine.url}/v1/models", timeout_s=_ASK_S)
        models = tuple(listed.get("data", ())) if isinstance(listed, dict) else ()
        try:
            await self._transport.get_json(engine.url + STATE_PATH, timeout_s=_ASK_S)
            adapter = True
        except NotTaken:
            adapter = False
        return replace(engine, up=True, failures=0, adapter=adapter, models=models)

    def _put(self, engine: Engine) -> None:
        if engine.up != self._engines[engine.id].up:
            kind = "with the adapter" if engine.adapter else "without the adapter"
            _LOG.info("engine %s is %s", engine.id, f"up, {kind}" if engine.up else "down")
        self._engines[engine.id] = engine


def _id_of(url: str) -> EngineId:
    return EngineId(urlsplit(url).netloc)
