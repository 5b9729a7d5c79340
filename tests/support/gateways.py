"""A gateway as it is deployed: real settings, real Redis, real server on loopback; only its engines are scripted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from autellix_gateway.app import create_app
from autellix_gateway.engines.transport import HttpTransport
from autellix_gateway.settings import Settings
from autellix_gateway.table.fallback import FallbackTable
from autellix_gateway.table.redis import connect
from scripted_engine import served

__all__ = ["SECRET", "Gateway", "gateway"]

SECRET = "a secret of the tests"


@dataclass(frozen=True)
class Gateway:
    """A running gateway, and a client for what no SDK sends."""

    url: str
    http: httpx2.AsyncClient
    table: FallbackTable

    async def chat(self, script: dict[str, Any] | None = None, **more: Any) -> httpx2.Response:
        """One chat call; ``headers`` and further fields of the body may be given."""
        headers = more.pop("headers", {})
        body = {"model": "scripted", "messages": [{"role": "user", "content": "hi"}], "script": script or {}, **more}
        return await self.http.post("/v1/chat/completions", json=body, headers=headers)

    async def session(self, **more: Any) -> dict[str, Any]:
        """A new session's JSON, token included."""
        response = await self.http.post("/v1/sessions", **more)
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def shown(self, session: str) -> dict[str, Any]:
        """A session's JSON."""
        response = await self.http.get(f"/v1/sessions/{session}")
        assert response.status_code == 200, response.text
        return dict(response.json())


@asynccontextmanager
async def gateway(redis_url: str, *engines: str, **settings: Any) -> AsyncIterator[Gateway]:
    """A gateway on these engines."""
    settings = {"session_secrets": (SECRET,), "health_interval_s": 0.05, **settings}
    of = Settings(redis_url=redis_url, engines=engines, **settings)
    table = FallbackTable(connect(of.redis_url, of.pool, of.limits(), timeout_s=of.table_timeout_s), of.limits())
    transport = HttpTransport(connect_s=of.engine_connect_s, silence_s=of.engine_silence_s)
    async with (
        served(create_app(of, table=table, transport=transport)) as url,
        httpx2.AsyncClient(base_url=url, timeout=30) as http,
    ):
        yield Gateway(url, http, table)
