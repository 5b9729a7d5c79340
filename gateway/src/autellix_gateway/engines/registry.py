"""Which engines there are, and how they are: up or down, what they serve, whether they have the adapter.

Engines come and go: :meth:`Engines.members` and :meth:`Engines.pools` say which there are now, and replace what was
said before. How an engine is, this module finds out itself, by asking each for its health.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from autellix_core.program import EngineId
from autellix_core.wire import STATE_PATH
from autellix_gateway.engines.members import Member, Pool
from autellix_gateway.engines.transport import EngineTransport, NotTaken

__all__ = ["Engine", "Engines"]

_LOG = logging.getLogger(__name__)
_ASK_S = 2.0
_FAILURES_UNTIL_DOWN = 3


@dataclass(frozen=True, slots=True)
class Engine:
    """One engine, as it was when last asked, and as its membership says."""

    id: EngineId
    url: str
    pool: str = ""
    accepts: bool = True
    draining: bool = False
    """See :class:`Member` for these."""
    up: bool = False
    adapter: bool = False
    """It reports measured service and wait, and orders by program."""
    slots: int = 0
    """Calls that its batch holds; 0 where it does not say."""
    models: tuple[dict[str, Any], ...] = ()
    """Its entries of ``/v1/models``."""
    failures: int = 0

    @property
    def ready(self) -> bool:
        """Whether new calls can go here."""
        return self.up and self.accepts

    def serves(self, model: str) -> bool:
        """Whether a call for the model can go here."""
        return any(entry.get("id") == model for entry in self.models)


class Engines:
    """The engines of the moment, each asked for its health in turn."""

    def __init__(self, transport: EngineTransport, members: Iterable[Member] = ()) -> None:
        self._transport = transport
        self._engines: dict[EngineId, Engine] = {}
        self._pools: dict[str, Pool] = {}
        self._listeners: list[Callable[[], None]] = []
        self._watches: dict[EngineId, asyncio.Task[None]] = {}
        self._watch_interval_s: float | None = None
        self.members(members)

    def listen(self, changed: Callable[[], None]) -> None:
        """Have ``changed`` called whenever an engine or a pool came, went, or takes calls from now on or no more."""
        self._listeners.append(changed)

    def members(self, members: Iterable[Member]) -> None:
        """These are the engines now. One that is new is asked at once, one that is not among them is forgotten."""
        before, self._engines = self._engines, {}
        for member in members:
            known = before.get(member.id)
            if known is None or known.url != member.url:
                known = Engine(member.id, member.url)
            self._engines[member.id] = replace(
                known, pool=member.pool, accepts=member.accepts, draining=member.draining
            )
        for engine in before.values():
            now = self._engines.get(engine.id)
            if now is None or now.url != engine.url:
                _LOG.info("engine %s at %s is gone", engine.id, engine.url)
                self._unwatch(engine.id)
            elif now.accepts and not (engine.accepts or now.up):
                self._unwatch(engine.id)  # it has just become ready: do not wait for its turn to be asked
        self._watch_all()
        if before != self._engines:
            self._changed()

    def pools(self, pools: Iterable[Pool]) -> None:
        """These are the pools now."""
        before, self._pools = self._pools, {pool.name: pool for pool in pools}
        if before != self._pools:
            self._changed()

    def all(self) -> Sequence[Engine]:
        """Every engine, in the order given."""
        return tuple(self._engines.values())

    def all_pools(self) -> Sequence[Pool]:
        """Every pool, in the order given."""
        return tuple(self._pools.values())

    def pools_of(self, model: str) -> Sequence[Pool]:
        """The pools of one model that hold calls for it, by name."""
        holding = (pool for pool in self._pools.values() if pool.model == model and pool.most_held > 0)
        return sorted(holding, key=lambda pool: pool.name)

    def ready(self, model: str | None = None) -> Sequence[Engine]:
        """Engines that take calls, for one model or for any."""
        return tuple(
            engine for engine in self._engines.values() if engine.ready and (model is None or engine.serves(model))
        )

    def get(self, engine: EngineId) -> Engine | None:
        """One engine, unless it is gone."""
        return self._engines.get(engine)

    def models(self) -> list[dict[str, Any]]:
        """What is served, one entry a model, as the engines that serve it describe it.

        A pool's model is served also while the pool has no engine.
        """
        served: dict[str, dict[str, Any]] = {}
        for engine in self.ready():
            for entry in engine.models:
                served.setdefault(str(entry.get("id")), entry)
        for pool in self._pools.values():
            served.setdefault(pool.model, {"id": pool.model, "object": "model", "created": 0, "owned_by": "autellix"})
        return list(served.values())

    def failed(self, engine: EngineId) -> None:
        """A call could not reach the engine: nothing is sent there until it answers again."""
        if (known := self._engines.get(engine)) is not None:
            self._put(known, up=False, failures=_FAILURES_UNTIL_DOWN)

    async def is_leaving(self, engine: Engine) -> bool:
        """Whether an engine whose answer was an error is ending: it takes no calls any more, or is away."""
        if (now := self._engines.get(engine.id)) is None or now.url != engine.url or not now.accepts:
            return True
        try:
            await self._transport.get_json(f"{engine.url}/health", timeout_s=_ASK_S)
        except NotTaken:
            return True
        return False

    async def watch(self, interval_s: float) -> None:
        """Ask every engine again and again, each on its own, until cancelled."""
        self._watch_interval_s = interval_s
        try:
            self._watch_all()
            await asyncio.get_running_loop().create_future()
        finally:
            self._watch_interval_s = None
            watches = set(self._watches.values())
            for engine in tuple(self._watches):
                self._unwatch(engine)
            if watches:
                await asyncio.wait(watches)

    async def refresh(self) -> None:
        """Ask every engine once."""
        await asyncio.gather(*(self._ask(engine) for engine in self.all()))

    def _watch_all(self) -> None:
        if (interval_s := self._watch_interval_s) is None:
            return
        for engine in self._engines:
            if engine not in self._watches:
                self._watches[engine] = asyncio.create_task(self._watch_one(engine, interval_s))

    def _unwatch(self, engine: EngineId) -> None:
        if (watch := self._watches.pop(engine, None)) is not None:
            watch.cancel()

    async def _watch_one(self, engine: EngineId, interval_s: float) -> None:
        while (known := self._engines.get(engine)) is not None:
            try:
                await self._ask(known)
            except Exception:  # noqa: BLE001 - an engine that talks nonsense must not end its own watch
                _LOG.exception("engine %s could not be asked", engine)
            await asyncio.sleep(interval_s)

    async def _ask(self, engine: Engine) -> None:
        try:
            await self._transport.get_json(f"{engine.url}/health", timeout_s=_ASK_S)
            if engine.up:
                self._put(engine, failures=0)
            else:
                await self._describe(engine)
        except NotTaken:
            failures = self._now(engine).failures + 1  # a call may have found it away while this was asked
            self._put(engine, failures=failures, up=self._now(engine).up and failures < _FAILURES_UNTIL_DOWN)

    async def _describe(self, engine: Engine) -> None:
        listed = await self._transport.get_json(f"{engine.url}/v1/models", timeout_s=_ASK_S)
        entries = listed.get("data", ()) if isinstance(listed, dict) else ()
        models = tuple(entry for entry in entries if isinstance(entry, dict))
        try:
            state = await self._transport.get_json(engine.url + STATE_PATH, timeout_s=_ASK_S)
        except NotTaken:
            self._put(engine, up=True, failures=0, adapter=False, slots=0, models=models)
            return
        slots = state.get("slots", 0) if isinstance(state, dict) else 0
        slots = slots if isinstance(slots, int) and slots > 0 else 0
        self._put(engine, up=True, failures=0, adapter=True, slots=slots, models=models)

    def _now(self, engine: Engine) -> Engine:
        return self._engines.get(engine.id, engine)

    def _put(self, engine: Engine, **found: Any) -> None:
        """Note what was found out of the engine, if that is still it: while it was asked it may have gone."""
        known = self._engines.get(engine.id)
        if known is None or known.url != engine.url:
            return
        now = self._engines[engine.id] = replace(known, **found)
        if now.up != known.up:
            kind = "with the adapter" if now.adapter else "without the adapter"
            _LOG.info("engine %s is %s", now.id, f"up, {kind}" if now.up else "down")
        if (now.ready, now.models) != (known.ready, known.models):
            self._changed()

    def _changed(self) -> None:
        for changed in self._listeners:
            changed()
