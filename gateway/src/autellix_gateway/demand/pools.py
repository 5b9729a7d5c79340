"""The demand on every pool, as any gateway of a process table tells it for all of them."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autellix_core.pools import PoolsJSON
from autellix_core.program import Program
from autellix_gateway.demand.rows import GatewayRow
from autellix_gateway.demand.sums import Known, PoolDemand, add_up, known, pool_of
from autellix_gateway.table.protocol import ProcessTable

__all__ = ["Demand", "Pools"]

_LOG = logging.getLogger(__name__)
_LATELY_S = 300.0
"""A program that did nothing for so long keeps no engine: what is cached of it has made room for others by then."""
_PROGRAMS_AT_MOST = 5000
"""Rows looked at for one answer, the latest first: what more there is would be among the programs that do nothing."""
_GOOD_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Demand:
    """An answer, from one instant."""

    at: float
    """The table's clock."""
    gateways: int
    shared: bool
    """False while the shared table is away: then it is what this gateway knows alone."""
    pools: Sequence[PoolDemand]
    known: Known

    def to_json(self) -> PoolsJSON:
        """As the operator gets it."""
        return {
            "at": self.at,
            "gateways": self.gateways,
            "shared": self.shared,
            "pools": [pool.json for pool in self.pools],
        }

    def pool_of(self, program: Program) -> str:
        """The pool of a program; "" where none is known."""
        return pool_of(program, self.known) or ""


class Pools:
    """Adds up what gateways published and what the table holds, at most once a second however many ask.

    ``degraded``: whether the table is away. ``returning_within_s``: how long ago a program between two calls may have
    been heard of to count as one that comes back. ``clock`` gives monotonic seconds.
    """

    def __init__(
        self,
        table: ProcessTable,
        *,
        degraded: Callable[[], bool],
        returning_within_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._table = table
        self._degraded = degraded
        self._returning_within_s = returning_within_s
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._latest: tuple[float, Demand] | None = None

    @property
    def degraded(self) -> bool:
        """Whether the shared table is away."""
        return self._degraded()

    async def now(self) -> Demand:
        """The demand, of this instant or up to a second old."""
        async with self._one_at_a_time:
            if self._latest is None or self._clock() - self._latest[0] >= _GOOD_FOR_S:
                self._latest = (self._clock(), await self._computed())
            return self._latest[1]

    async def _computed(self) -> Demand:
        away_before = self._degraded()
        published = await self._table.published()
        lately = max(_LATELY_S, self._returning_within_s)
        programs = await self._table.programs(active_since=published.at - lately, limit=_PROGRAMS_AT_MOST)
        rows = []
        for gateway in sorted(published.rows):
            row = GatewayRow.from_bytes(published.rows[gateway])
            if row is None:
                _LOG.warning("the gateway %s is of another version: what it says of its engines is left out", gateway)
            else:
                rows.append(row)
        of = known(rows)
        pools = add_up(
            of,
            programs,
            engine_calls=published.engine_calls,
            returning_since=published.at - self._returning_within_s,
        )
        return Demand(
            at=published.at,
            gateways=len(published.rows),
            shared=not (away_before or self._degraded()),
            pools=pools,
            known=of,
        )
