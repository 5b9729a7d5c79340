"""Carries out what was decided about EnginePools, over the API server; whoever drives it, one pool at a time.

The order of writes is the order of safety: first the status, by which gateways learn which engines drain; then the
pods' deletion costs; then the Deployment. Each may be the last one before the operator dies.
"""

import asyncio
import hashlib
import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from autellix_core.pools import POOL_LABEL, PoolJSON, PoolsJSON
from autellix_core.scaling import History
from autellix_operator.cluster import DEPLOYMENT, ENGINE_POOL, POD, POD_DISRUPTION_BUDGET, SERVICE, Cluster, Kind
from autellix_operator.engines import manifests
from autellix_operator.engines.decisions import Decision, Said, decide
from autellix_operator.engines.observed import DELETION_COST, LOWEST_COST, Engine, agree, engines, reported, rollout
from autellix_operator.engines.pools import Pool
from autellix_operator.engines.statuses import VOLATILE, status, troubles
from autellix_operator.errors import Conflicted, NamespaceEnding, NotThere, OperatorError, Refused

__all__ = ["EnginePools"]

_LOG = logging.getLogger(__name__)
_FRESH_S = 1.0
"""What the gateways said may be so old: one question serves all pools that are looked at together."""
_WHOLE_EVERY_S = 60.0
"""How often the Service and the PodDisruptionBudget are looked at too."""
_PODS_EVERY_S = 30.0
"""How often pods are listed whose Deployment says that nothing about them has changed: hundreds are megabytes."""


@dataclass(slots=True)
class _Memory:
    """Of one pool. It saves questions and writes; nothing is lost with it."""

    uid: str = ""
    history: History = field(default_factory=History)
    refused: str = ""
    """What the API server said when it last refused to make something."""
    written_at_s: float = -math.inf
    """When the status was."""
    whole_at_s: float = -math.inf
    """When all children were looked at."""
    applied: dict[str, tuple[str, str]] = field(default_factory=dict)
    """By plural: what was applied, and the version of the object that came of it."""
    engines: tuple[Engine, ...] = ()
    """As they were listed last."""
    listed_at_s: float = -math.inf
    agreed: str = ""
    """The Deployment's version with which they agreed, or ""."""


class EnginePools:
    """All pools of one operator.

    ``demand`` asks the gateways and raises :class:`~autellix_operator.errors.OperatorError`; ``now`` gives seconds
    since the epoch. What is remembered here saves questions and writes, and nothing is lost with it.
    """

    def __init__(
        self,
        cluster: Cluster,
        demand: Callable[[], Awaitable[PoolsJSON]],
        *,
        now: Callable[[], float],
        status_interval_s: float = 5.0,
    ) -> None:
        self._cluster = cluster
        self._demand = demand
        self._now = now
        self._status_interval_s = status_interval_s
        self._memories: dict[tuple[str, str], _Memory] = {}
        self._asked_at_s = -math.inf
        self._answer: PoolsJSON | str = ""
        self._asking = asyncio.Lock()

    async def reconcile(self, namespace: str, name: str) -> bool:
        """Do one step towards what a pool should be; to be called when it changed, and every few seconds.

        Whether there is such a pool; what was made for one that is gone goes with it, since it owns that.
        One pool is in one pair of hands at a time; its caller sees to that. Raises
        :class:`~autellix_operator.errors.ClusterError` where the API server is away; call it again later.
        """
        body = await self._cluster.get(ENGINE_POOL, namespace, name)
        if body is None:
            self._memories.pop((namespace, name), None)
            return False
        pool = Pool(body)
        if not pool.going:
            try:
                await self._reconcile(pool)
            except (Conflicted, NotThere, NamespaceEnding) as error:
                _LOG.debug("pool %s/%s changed meanwhile: %s", namespace, name, error)
        return True

    async def _reconcile(self, pool: Pool) -> None:
        key = (pool.namespace, pool.name)
        memory = self._memories.get(key)
        if memory is None or memory.uid != pool.uid:
            memory = self._memories[key] = _Memory(pool.uid)
        known, unknown = await self._known(pool)
        found = await self._cluster.get(DEPLOYMENT, pool.namespace, pool.children)
        seen = rollout(pool, found)
        pods = reported(await self._engines(pool, found, memory), known)
        now_s = self._now()
        ours = seen is None or seen.ours
        decision = decide(pool, seen if ours else None, pods, known, history=memory.history, now_s=now_s)
        memory.history = decision.history

        def said() -> dict[str, Any]:
            return status(pool, seen, pods, known, decision, unknown=unknown, refused=memory.refused, now_s=now_s)

        await self._tell(pool, (*(decision.events if ours else ()), *troubles(pool.status, said())))
        await self._write_status(pool, said(), memory, now_s)
        if not ours:
            return
        try:
            if decision.mark or decision.unmark:
                memory.agreed = ""
            await self._mark(pool.namespace, decision)
            await self._make(pool, found, decision, memory, now_s)
            memory.refused = ""
        except NamespaceEnding:
            raise
        except Refused as error:
            if memory.refused != str(error):
                memory.refused = str(error)
                await self._tell(pool, troubles(pool.status, said()))
                await self._write_status(pool, said(), memory, now_s)

    async def _engines(self, pool: Pool, found: Mapping[str, Any] | None, memory: _Memory) -> tuple[Engine, ...]:
        version = "" if found is None else str(found["metadata"]["resourceVersion"])
        if not version or memory.agreed != version or self._now() - memory.listed_at_s >= _PODS_EVERY_S:
            pods = await self._cluster.list(POD, pool.namespace, labels={POOL_LABEL: pool.name})
            memory.engines, memory.listed_at_s = engines(pods), self._now()
            memory.agreed = version if found is not None and agree(found, memory.engines) else ""
        return memory.engines

    async def _known(self, pool: Pool) -> tuple[PoolJSON | None, str]:
        """What the gateways say of the pool, or why that is not known."""
        async with self._asking:
            if not 0 <= self._now() - self._asked_at_s < _FRESH_S:
                try:
                    self._answer = await self._demand()
                except OperatorError as error:
                    self._answer = str(error)
                self._asked_at_s = self._now()
        if isinstance(self._answer, str):
            return None, self._answer
        if not self._answer["shared"]:
            return None, "The gateways cannot reach Redis, so none of them knows of all calls."
        for known in self._answer["pools"]:
            if known["name"] == pool.name and known["model"] == pool.model:
                return known, ""
        return None, "No gateway knows this pool yet."

    async def _tell(self, pool: Pool, events: Iterable[Said]) -> None:
        """Before the writes that it is about: an event that is told twice is dropped."""
        for event in events:
            await self._cluster.event(pool.body, reason=event.reason, message=event.message, warning=event.warning)

    async def _write_status(self, pool: Pool, written: dict[str, Any], memory: _Memory, now_s: float) -> None:
        before = pool.status
        if written == before:
            return
        early = now_s < memory.written_at_s + self._status_interval_s
        if early and _without_volatile(written) == _without_volatile(before):
            return
        await self._cluster.apply_status(
            {
                "apiVersion": ENGINE_POOL.api_version,
                "kind": ENGINE_POOL.kind,
                "metadata": {"name": pool.name, "namespace": pool.namespace, "uid": pool.uid},
                "status": written,
            }
        )
        memory.written_at_s = now_s

    async def _mark(self, namespace: str, decision: Decision) -> None:
        for pods, cost in ((decision.unmark, None), (decision.mark, LOWEST_COST)):
            for pod in pods:
                patch = {"metadata": {"annotations": {DELETION_COST: cost}}}
                await self._cluster.patch(POD, namespace, pod, patch)

    async def _make(
        self, pool: Pool, found: Mapping[str, Any] | None, decision: Decision, memory: _Memory, now_s: float
    ) -> None:
        before: dict[str, str] = {}
        if found is not None:
            # Not decided upon an older look; and one that was deleted meanwhile is not made anew by this one.
            before = {"uid": found["metadata"]["uid"]}
            if decision.scaled:
                before["resourceVersion"] = found["metadata"]["resourceVersion"]
        body = manifests.deployment(pool, replicas=decision.replicas)
        changed = await self._apply(DEPLOYMENT, body, found, memory, before)
        if not changed and now_s - memory.whole_at_s < _WHOLE_EVERY_S:
            return
        for kind, body in (
            (SERVICE, manifests.service(pool)),
            (POD_DISRUPTION_BUDGET, manifests.disruption_budget(pool)),
        ):
            await self._apply(kind, body, await self._cluster.get(kind, pool.namespace, pool.children), memory, {})
        memory.whole_at_s = now_s

    async def _apply(
        self,
        kind: Kind,
        body: dict[str, Any],
        found: Mapping[str, Any] | None,
        memory: _Memory,
        before: Mapping[str, str],
    ) -> bool:
        """Apply it, unless nobody changed what came of the same apply. Says whether it was necessary."""
        digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if found is not None and memory.applied.get(kind.plural) == (digest, _version(found)):
            return False
        made = await self._cluster.apply({**body, "metadata": {**body["metadata"], **before}})
        memory.applied[kind.plural] = (digest, _version(made))
        return True


def _version(found: Mapping[str, Any]) -> str:
    """Changes with the object's spec; of a Service, which has no generation, with anything of it."""
    metadata = found["metadata"]
    return f"{metadata['uid']} {metadata.get('generation') or metadata.get('resourceVersion')}"


def _without_volatile(written: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in written.items() if name not in VOLATILE}
