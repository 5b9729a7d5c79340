"""``/healthz``, ``/readyz`` and ``/metrics``."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from autellix_gateway.calls.forwarding import Calls
from autellix_gateway.demand.gauges import PoolGauges
from autellix_gateway.demand.pools import Pools
from autellix_gateway.engines.registry import Engines
from autellix_gateway.metrics import Metrics

__all__ = ["health_routes"]


def health_routes(
    *,
    calls: Calls,
    engines: Engines,
    degraded: Callable[[], bool],
    metrics: Metrics,
    pools: Pools,
    gauges: PoolGauges,
) -> APIRouter:
    """The routes that probes and Prometheus call. They need no API key."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @routes.get("/readyz", response_model=None)
    async def readyz() -> Response:
        """Calls can be served: 200 with at least one engine up, also while the table is away; else 503.

        Without an engine, 200 where a pool holds calls until it has one. 503 from when the gateway is told to end.
        """
        up, away, held = len(engines.ready()), degraded(), calls.held()
        holds = any(pool.most_held for pool in engines.all_pools())
        usable = "degraded" if away else "ready" if up else "holding"
        status = "leaving" if calls.leaving else usable if up or holds else "unavailable"
        state: dict[str, object] = {
            "status": status,
            "table": "away" if away else "shared",
            "engines": {
                engine.id: {
                    "up": engine.up,
                    "adapter": engine.adapter,
                    "url": engine.url,
                    "pool": engine.pool,
                    "accepts": engine.accepts,
                    "draining": engine.draining,
                }
                for engine in engines.all()
            },
            "pools": {
                pool.name: {"model": pool.model, "held": held.get(pool.name, (0, 0.0))[0]}
                for pool in engines.all_pools()
            },
        }
        return JSONResponse(state, status_code=200 if status in ("ready", "degraded", "holding") else 503)

    @routes.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        metrics.engines_ready.set(len(engines.ready()))
        metrics.degraded.set(degraded())
        gauges.show(await pools.now())
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
