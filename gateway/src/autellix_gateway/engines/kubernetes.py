"""Finds engines in Kubernetes: EnginePools and the EndpointSlices of their Services, in one namespace.

Only a gateway that is told to use Kubernetes imports this module, since the client takes a second to load.
"""

import asyncio
import os
from collections.abc import Collection, Mapping
from typing import Any

from kubernetes.aio import client
from kubernetes.aio import config as configs

from autellix_core.errors import AutellixError
from autellix_core.pools import GROUP, POOL_LABEL, VERSION
from autellix_gateway.engines.endpoints import members_of, pools_of
from autellix_gateway.engines.registry import Engines
from autellix_gateway.engines.watches import Kind, Pauses, Watch

__all__ = ["Discovery", "NoCluster"]

_POOLS = Kind(GROUP, VERSION, "enginepools")
_SLICES = Kind("discovery.k8s.io", "v1", "endpointslices", labels=POOL_LABEL)
_IN_CLUSTER = "KUBERNETES_SERVICE_HOST"


class NoCluster(AutellixError):
    """Nothing says which cluster, or as whom to ask it."""


class Discovery:
    """Keeps ``engines`` as the namespace's objects have them."""

    def __init__(self, engines: Engines, namespace: str, *, pauses: Pauses | None = None) -> None:
        self._engines = engines
        self._namespace = namespace
        self._pauses = pauses
        self._pools: Collection[Mapping[str, Any]] = ()
        self._slices: Collection[Mapping[str, Any]] | None = None
        self._api: Any = None

    async def connect(self) -> None:
        """Find out which cluster, without speaking to it yet. Raises :class:`NoCluster`."""
        try:
            self._api = client.ApiClient(configuration=await _configuration())
        except (configs.ConfigException, OSError, ValueError) as error:
            raise NoCluster(
                f"No cluster is configured ({error}): run in a pod with a service account, or set KUBECONFIG."
            ) from error

    async def run(self) -> None:
        """Follow the objects until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for kind, changed in ((_POOLS, self._pools_changed), (_SLICES, self._slices_changed)):
                watch = Watch(self._api, kind, self._namespace, changed, pauses=self._pauses)
                tasks.create_task(watch.run())

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()

    def _pools_changed(self, pools: Collection[Mapping[str, Any]]) -> None:
        self._pools = tuple(pools)
        self._engines.pools(pools_of(self._pools))
        self._tell_members()

    def _slices_changed(self, slices: Collection[Mapping[str, Any]]) -> None:
        self._slices = tuple(slices)
        self._tell_members()

    def _tell_members(self) -> None:
        if self._slices is not None:
            self._engines.members(members_of(self._slices, self._pools))


async def _configuration() -> Any:
    """Who asks, and where: ``KUBECONFIG`` if it is set, else the pod's service account, else the user's kubeconfig."""
    config: Any = configs  # it is not typed
    configuration = client.Configuration()
    if "KUBECONFIG" not in os.environ and _IN_CLUSTER in os.environ:
        config.load_incluster_config(client_configuration=configuration)
    else:
        await config.load_kube_config(
            config_file=os.environ.get("KUBECONFIG"), client_configuration=configuration, persist_config=False
        )
    return configuration
