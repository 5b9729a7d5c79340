"""Puts the gateway together: one object of each kind, built once and handed down."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI

from autellix_core.program import EngineId
from autellix_gateway.api import errors
from autellix_gateway.api.health import health_routes
from autellix_gateway.api.inference import inference_routes
from autellix_gateway.api.observed import Observed
from autellix_gateway.api.operator import operator_routes
from autellix_gateway.api.sessions import session_routes
from autellix_gateway.calls.accounts import Accounts
from autellix_gateway.calls.forwarding import Calls
from autellix_gateway.demand.gauges import PoolGauges
from autellix_gateway.demand.pools import Pools
from autellix_gateway.demand.publishing import PUBLISH_S, Publisher
from autellix_gateway.engines.registry import Engine, Engines
from autellix_gateway.engines.transport import HttpTransport
from autellix_gateway.identity import Identities, SessionTokens
from autellix_gateway.metrics import Metrics
from autellix_gateway.settings import Settings
from autellix_gateway.table.fallback import FallbackTable

__all__ = ["create_app"]

_LOG = logging.getLogger(__name__)
_PROBE_S = 1.0


def create_app(settings: Settings, *, table: FallbackTable, transport: HttpTransport) -> FastAPI:
    """The application. It owns what it is given: table and transport are closed when it shuts down."""
    metrics = Metrics()
    engines = Engines(settings.engines, transport)
    tokens = SessionTokens(
        [secret.get_secret_value() for secret in settings.session_secrets], ttl_s=settings.session_token_ttl_s
    )
    identities = Identities(
        tokens,
        session_headers=settings.session_headers,
        api_keys=[key.get_secret_value() for key in settings.api_keys],
    )
    levels = settings.engine_levels()
    accounts = Accounts(table, transport, metrics, prefill_tokens_per_s=settings.prefill_tokens_per_s)
    calls = Calls(
        accounts=accounts,
        engines=engines,
        transport=transport,
        policy=settings.policy,
        levels=levels,
        placement=settings.placement_policy(),
        metrics=metrics,
        engine_api_key=settings.engine_api_key.get_secret_value() if settings.engine_api_key else None,
    )
    pools = Pools(table, degraded=lambda: table.degraded, returning_within_s=settings.returning_within_s)
    publisher = Publisher(
        table,
        engines=lambda: [_Outside(engine) for engine in engines.all()],
        held=dict,
        pools=dict,
        waits=metrics.recent_waits,
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await engines.refresh()
        await publisher.publish()
        chores = [
            asyncio.create_task(engines.watch(settings.health_interval_s)),
            asyncio.create_task(_every(settings.lease_s / 4, accounts.renew)),
            asyncio.create_task(_every(settings.lease_s / 2, lambda: _sweep(table, metrics))),
            asyncio.create_task(_every(_PROBE_S, lambda: _probe(table, metrics))),
            asyncio.create_task(_every(PUBLISH_S, publisher.publish)),
        ]
        try:
            yield
        finally:
            for chore in chores:
                chore.cancel()
            await asyncio.wait(chores)
            await publisher.leave()
            await accounts.drain(settings.shutdown_s)
            await table.close()
            await transport.close()

    app = FastAPI(title="Autellix gateway", lifespan=lifespan)
    app.add_middleware(Observed, metrics=metrics)
    errors.install(app)
    app.include_router(
        health_routes(
            engines=engines,
            degraded=lambda: table.degraded,
            metrics=metrics,
            pools=pools,
            gauges=PoolGauges(metrics.registry),
        )
    )
    app.include_router(
        inference_routes(
            calls=calls,
            engines=engines,
            identities=identities,
            chars_per_token=settings.chars_per_token,
            max_body_bytes=settings.max_body_bytes,
        )
    )
    app.include_router(
        session_routes(
            table=table,
            engines=engines,
            accounts=accounts,
            identities=identities,
            tokens=tokens,
            policy=settings.policy,
            levels=levels,
            metrics=metrics,
        )
    )
    app.include_router(
        operator_routes(
            table=table,
            pools=pools,
            accounts=accounts,
            tokens=tokens,
            policy=settings.policy,
            levels=levels,
            metrics=metrics,
            key=settings.operator_key.get_secret_value() if settings.operator_key else None,
        )
    )
    return app


@dataclass(frozen=True, slots=True)
class _Outside:
    """An engine of a static list: in no pool, and with slots that nobody asked it for."""

    of: Engine
    pool: str = ""
    draining: bool = False
    slots: int = 0

    @property
    def id(self) -> EngineId:
        return self.of.id

    @property
    def up(self) -> bool:
        return self.of.up

    @property
    def models(self) -> Sequence[Mapping[str, Any]]:
        return self.of.models


async def _sweep(table: FallbackTable, metrics: Metrics) -> None:
    swept = await table.sweep()
    metrics.swept.labels("calls").inc(swept.calls)
    metrics.swept.labels("programs").inc(swept.programs)


async def _probe(table: FallbackTable, metrics: Metrics) -> None:
    if (reconciled := await table.probe()) is not None:
        metrics.reconciled.labels("told").inc(reconciled.entries)
        metrics.reconciled.labels("lost").inc(reconciled.dropped)


async def _every(interval_s: float, chore: Callable[[], Awaitable[object]]) -> None:
    """Do a chore again and again until cancelled. One that fails is logged and tried again."""
    while True:
        await asyncio.sleep(interval_s)
        try:
            await chore()
        except Exception:  # noqa: BLE001 - a chore that stopped would be missed only much later
            _LOG.exception("a chore of the gateway failed")
