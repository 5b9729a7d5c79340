"""``/healthz`` and ``/metrics``."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from autellix_operator.metrics import Metrics

__all__ = ["health_app", "serving"]


def health_app(metrics: Metrics, *, leads: Callable[[], bool]) -> web.Application:
    """The application. A replica that waits for its turn is as healthy as the one that leads."""

    async def healthz(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "leading": leads()})

    async def exposed(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/metrics", exposed)
    return app


@asynccontextmanager
async def serving(app: web.Application, *, host: str, port: int) -> AsyncIterator[int]:
    """Serve until the block is left; yields the port."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
