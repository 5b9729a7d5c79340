"""The operator's work on EnginePools while it leads: each is looked at when it changed, and every few seconds."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from autellix_operator.cluster import ENGINE_POOL, Cluster
from autellix_operator.engines.reconciling import EnginePools
from autellix_operator.errors import ClusterError
from autellix_operator.metrics import Metrics
from autellix_operator.pacing import Due, Key
from autellix_operator.rounds import Rounds

__all__ = ["PoolsWork"]

_LOG = logging.getLogger(__name__)
_WORKERS = 4
_LIST_AGAIN_S = 2.0


class PoolsWork:
    """``seen`` hears the watch at any time; ``work`` runs while leading."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        pools: EnginePools,
        metrics: Metrics,
        namespaces: tuple[str, ...],
        poll_interval_s: float,
        resync_s: float,
        due: Due | None = None,
    ) -> None:
        self._cluster = cluster
        self._pools = pools
        self._namespaces = namespaces
        self._poll_interval_s = poll_interval_s
        self._resync_s = resync_s
        self._due = due or Due()
        self._rounds = Rounds(self._due, metrics, kind=ENGINE_POOL.kind, look=self._look)
        self._seen: dict[Key, tuple[object, ...]] = {}

    def seen(self, change: str, pool: Mapping[str, Any]) -> None:
        """The watch saw a pool; one that is gone is looked at too, and then no more.

        A change of nothing but its status is our own: were it a reason to look, the next look would follow at once
        while hundreds of pods start.
        """
        metadata = pool["metadata"]
        key = (metadata["namespace"], metadata["name"])
        asked = (metadata["uid"], metadata.get("generation"), metadata.get("deletionTimestamp"))
        if change == "DELETED":
            self._seen.pop(key, None)
        elif self._seen.get(key) == asked:
            return
        else:
            self._seen[key] = asked
        self._due.put(key, urgent=True)

    async def work(self) -> None:
        """Until cancelled, or until this replica no longer leads."""
        await self._listed()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listing())
            for _ in range(_WORKERS):
                tasks.create_task(self._rounds.work())

    async def resync(self) -> bool:
        """Have every pool looked at that is there; whether the API server could be asked."""
        try:
            listed = [
                pool for namespace in self._namespaces for pool in await self._cluster.list(ENGINE_POOL, namespace)
            ]
        except ClusterError as error:
            _LOG.warning("EnginePools cannot be listed: %s", error)
            return False
        for pool in listed:
            self._due.put((pool["metadata"]["namespace"], pool["metadata"]["name"]))
        return True

    async def next(self) -> None:
        """Look at the pool that is due, or wait for one; it is due again in a while."""
        await self._rounds.next()

    async def _look(self, key: Key) -> float | None:
        return self._poll_interval_s if await self._pools.reconcile(*key) else None

    async def _listed(self) -> None:
        while True:
            if await self.resync():
                return
            await asyncio.sleep(_LIST_AGAIN_S)

    async def _listing(self) -> None:
        while True:
            await asyncio.sleep(self._resync_s)
            await self.resync()
