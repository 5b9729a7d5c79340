"""``/healthz``, ``/readyz`` and ``/metrics``."""

from collections.abc import Callable

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from autellix_gateway.demand.gauges import PoolGauges
from autellix_gateway.demand.pools import Pools
from autellix_gateway.engines.registry import Engines
from autellix_gateway.metrics import Metrics

__all__ = ["health_routes"]


def health_routes(
    *, engines: Engines, degraded: Callable[[], bool], metrics: Metrics, pools: Pools, gauges: PoolGauges
) -> APIRouter:
    """The routes that probes and Prometheus call. They need no API key."""
    routes = APIRouter(tags=["health"])

    @routes.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @routes.get("/readyz", response_model=None)
    async def readyz() -> Response:
        """Calls can be served: 200 with at least one engine up, also while the table is away; else 503."""
        up = len(engines.ready())
        away = degraded()
        status = "unavailable" if not up else "degraded" if away else "ready"
        state = {
            "status": status,
            "table": "away" if away else "shared",
            "engines": {
                engine.id: {"up": engine.up, "adapter": engine.adapter, "url": engine.url} for engine in engines.all()
            },
        }
        return JSONResponse(state, status_code=200 if up else 503)

    @routes.get("/metrics", include_in_schema=False)
    async def prometheus() -> Response:
        metrics.engines_ready.set(len(engines.ready()))
        metrics.degraded.set(degraded())
        gauges.show(await pools.now())
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return routes
