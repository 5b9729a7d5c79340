"""One replica of the operator works, the others wait: who holds the Lease leads.

A Lease counts from when a change of it was seen here, so clocks of replicas need not agree. A leader that could not
renew in time stops writing before another may begin; its own clock tells it so, even while the API server is away.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from autellix_operator.cluster import LEASE, Cluster, Kind
from autellix_operator.errors import ClusterError, NotLeading
from autellix_operator.pacing import Pace

__all__ = ["LeadersCluster", "Leadership"]

_LOG = logging.getLogger(__name__)


class Leadership:
    """This replica's part in the election. ``changed`` hears whether it leads."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        lease_s: float,
        changed: Callable[[bool], None] = lambda _leads: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._lease_s = lease_s
        self._changed = changed
        self._clock = clock
        self._until = 0.0
        self._seen: tuple[object, ...] = ()
        self._seen_at = 0.0

    @property
    def leads(self) -> bool:
        """Whether this replica may write at this moment. A margin is left for the request that is sent next."""
        return self._clock() < self._until

    async def run(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Lead whenever possible, and then do the work; it is cancelled when the lease is lost. Ends when cancelled."""
        try:
            while True:
                if await self.seek():
                    await self._lead(work)
                await asyncio.sleep(self._lease_s / 5)
        finally:
            await self._let_go()

    async def seek(self) -> bool:
        """Take the Lease, or renew it. Never raises for the API server's sake."""
        asked_at = self._clock()
        try:
            held = await self._seek()
        except ClusterError as error:
            _LOG.warning("the lease %s cannot be had: %s", self._name, error)
            return False
        if held:
            self._until = asked_at + self._lease_s * 2 / 3
        return held

    async def _lead(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        _LOG.info("this replica (%s) leads", self._identity)
        self._changed(True)
        task = asyncio.create_task(work())
        try:
            while self.leads:
                await asyncio.wait({task}, timeout=self._lease_s / 5)
                if task.done():
                    await task  # work ends by an error alone; without it this replica must not keep the lease
                    return
                # A renewal that takes too long must not keep a leader of yesterday at work.
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.seek(), max(self._until - self._clock(), 0.0))
        finally:
            self._until = 0.0
            self._changed(False)
            task.cancel()
            await asyncio.wait({task})
            _LOG.info("this replica (%s) no longer leads", self._identity)

    async def _seek(self) -> bool:
        lease = await self._cluster.get(LEASE, self._namespace, self._name)
        if lease is None:
            # Without a holder this is the same whoever makes it first; the claim below has one winner.
            lease = await self._cluster.apply(
                {
                    "apiVersion": LEASE.api_version,
                    "kind": LEASE.kind,
                    "metadata": {"namespace": self._namespace, "name": self._name},
                }
            )
        spec = lease.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        seen = (lease["metadata"]["uid"], holder, spec.get("renewTime"), spec.get("leaseTransitions"))
        if seen != self._seen:
            self._seen, self._seen_at = seen, self._clock()
        lasts_s = max(float(spec.get("leaseDurationSeconds") or 0), self._lease_s)
        if holder not in ("", self._identity) and self._clock() - self._seen_at < lasts_s:
            return False
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        claim: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": round(self._lease_s),
            "renewTime": now,
        }
        if holder != self._identity:
            claim |= {"acquireTime": now, "leaseTransitions": int(spec.get("leaseTransitions") or 0) + 1}
        return await self._write(lease, claim)

    async def _let_go(self) -> None:
        """So that another replica need not wait the lease out."""
        with suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(2.0):
                lease = await self._cluster.get(LEASE, self._namespace, self._name)
                if lease is not None and (lease.get("spec") or {}).get("holderIdentity") == self._identity:
                    await self._write(lease, {"holderIdentity": None})

    async def _write(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
        version = lease["metadata"]["resourceVersion"]
        patch = {"metadata": {"resourceVersion": version}, "spec": dict(spec)}
        return await self._cluster.patch(LEASE, self._namespace, self._name, patch) is not None


class LeadersCluster:
    """A cluster that is written to at a bounded pace, and by the leader alone: any other's write raises NotLeading."""

    def __init__(self, cluster: Cluster, *, leads: Callable[[], bool], pace: Pace) -> None:
        self._cluster = cluster
        self._leads = leads
        self._pace = pace

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        await self._may_write()
        return await self._cluster.apply(body)

    async def apply_status(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        await self._may_write()
        return await self._cluster.apply_status(body)

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        return await self._cluster.get(kind, namespace, name)

    async def list(
        self, kind: Kind, namespace: str, *, labels: Mapping[str, str] | None = None
    ) -> list[dict[str, Any]]:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        return await self._cluster.list(kind, namespace, labels=labels)

    async def patch(self, kind: Kind, namespace: str, name: str, patch: Mapping[str, Any]) -> dict[str, Any] | None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        await self._may_write()
        return await self._cluster.patch(kind, namespace, name, patch)

    async def delete(self, kind: Kind, namespace: str, name: str, *, uid: str | None = None) -> None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        await self._may_write()
        await self._cluster.delete(kind, namespace, name, uid=uid)

    async def event(self, about: Mapping[str, Any], *, reason: str, message: str, warning: bool = False) -> None:
        """See :class:`~autellix_operator.cluster.Cluster`."""
        with suppress(NotLeading):
            await self._may_write()
            await self._cluster.event(about, reason=reason, message=message, warning=warning)

    async def _may_write(self) -> None:
        await self._pace.turn()
        if not self._leads():
            raise NotLeading("This replica of the operator does not lead, so it writes nothing.")
