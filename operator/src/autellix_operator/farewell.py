"""The finalizers that must not outlive the operator: before it is uninstalled, and when its namespace goes with it.

A namespace's deletion removes the operator's own pod and the objects that wait for it in no certain order. So an
operator that is told to stop looks whether its namespaces are ending, and if so, lets all of their objects go at once.
"""

import asyncio
import logging
from collections.abc import Sequence

from autellix_operator.cluster import NAMESPACE, PROGRAM_SESSION, Cluster
from autellix_operator.errors import ClusterError, GatewayError
from autellix_operator.gateways import Gateway
from autellix_operator.objects import FINALIZER, key_of, program_of

__all__ = ["leave", "release_all"]

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16


async def leave(cluster: Cluster, gateway: Gateway, namespaces: Sequence[str]) -> int:
    """End the programs of namespaces that are being deleted, as far as gateways answer, and let their objects go."""
    released = 0
    for namespace in namespaces:
        try:
            there = await cluster.get(NAMESPACE, "", namespace)
        except ClusterError as error:
            _LOG.warning("whether the namespace %s is being deleted cannot be read: %s", namespace, error)
            continue
        if there is not None and there["metadata"].get("deletionTimestamp"):
            released += await release_all(cluster, [namespace], gateway=gateway)
    return released


async def release_all(cluster: Cluster, namespaces: Sequence[str], *, gateway: Gateway | None = None) -> int:
    """Take our finalizer off every object; how many had it. With a gateway, their programs are ended first.

    What fails is logged: the rest is done all the same.
    """
    turns = asyncio.Semaphore(_AT_ONCE)

    async def release(session: dict[str, object], there: Sequence[str]) -> bool:
        async with turns:
            try:
                if gateway is not None:
                    await gateway.end(program_of(session))
            except GatewayError as error:
                _LOG.warning("program %s may go on: %s", program_of(session), error)
            rest = [each for each in there if each != FINALIZER]
            try:
                await cluster.patch(PROGRAM_SESSION, *key_of(session), {"metadata": {"finalizers": rest}})
            except ClusterError as error:
                _LOG.warning("%s/%s keeps its finalizer: %s", *key_of(session), error)
                return False
            return True

    released = 0
    for namespace in namespaces:
        try:
            sessions = await cluster.list(PROGRAM_SESSION, namespace)
        except ClusterError as error:
            _LOG.warning("ProgramSessions cannot be listed, so none is released: %s", error)
            continue
        held = [(session, session["metadata"].get("finalizers") or ()) for session in sessions]
        done = await asyncio.gather(*(release(session, there) for session, there in held if FINALIZER in there))
        released += sum(done)
    return released
