"""Keeps this gateway's row in the process table up to date."""

import secrets
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from autellix_core.program import EngineId
from autellix_gateway.demand.rows import EngineRow, GatewayRow
from autellix_gateway.table.protocol import ProcessTable
from autellix_gateway.waits import RecentWaits

__all__ = ["PUBLISH_S", "Publisher", "ReachedEngine"]

PUBLISH_S = 1.0
"""How often a gateway says how it is."""
_TTL_S = 5.0
"""How long its word counts: some missed turns make no engine disappear."""


class ReachedEngine(Protocol):
    """What is told of an engine."""

    @property
    def id(self) -> EngineId:
        """Its name in the table."""

    @property
    def up(self) -> bool:
        """This gateway reaches it."""

    @property
    def models(self) -> Sequence[Mapping[str, Any]]:
        """Its entries of ``/v1/models``."""

    @property
    def pool(self) -> str:
        """Its EnginePool, "" outside Kubernetes."""

    @property
    def draining(self) -> bool:
        """It is to end once its programs are done with it."""

    @property
    def slots(self) -> int:
        """Calls that its batch holds; 0: not known."""


class Publisher:
    """Says of this gateway which engines it reaches, what it holds and what it measured.

    ``held``: by pool, how many calls wait in this gateway and how long the first of them has. ``pools``: model by pool,
    those without an engine included.
    """

    def __init__(
        self,
        table: ProcessTable,
        *,
        engines: Callable[[], Sequence[ReachedEngine]],
        held: Callable[[], Mapping[str, tuple[int, float]]],
        pools: Callable[[], Mapping[str, str]],
        waits: RecentWaits,
    ) -> None:
        self._table = table
        self._engines = engines
        self._held = held
        self._pools = pools
        self._waits = waits
        self._name = f"{socket.gethostname()}-{secrets.token_hex(6)}"

    async def publish(self) -> None:
        """Say how it is now."""
        await self._table.publish(self._name, self._row().to_bytes(), ttl_s=_TTL_S)

    async def leave(self) -> None:
        """Say no more: this gateway is going."""
        await self._table.publish(self._name, b"", ttl_s=0.0)

    def _row(self) -> GatewayRow:
        waits = self._waits.by_engine()
        engines = []
        for engine in self._engines():
            waited_s, waited_calls = waits.get(engine.id, (0.0, 0))
            engines.append(
                EngineRow(
                    id=engine.id,
                    pool=engine.pool,
                    models=tuple(str(entry.get("id")) for entry in engine.models),
                    up=engine.up,
                    draining=engine.draining,
                    slots=engine.slots,
                    waited_s=waited_s,
                    waited_calls=waited_calls,
                )
            )
        return GatewayRow(tuple(engines), held=self._held(), pools=self._pools())
