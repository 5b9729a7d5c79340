"""A gateway as a process of its own, to be told to end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from eventually import eventually

__all__ = ["GatewayProcess", "gateway_process"]


@dataclass(frozen=True)
class GatewayProcess:
    """A running gateway."""

    http: httpx2.AsyncClient
    process: asyncio.subprocess.Process

    def terminate(self) -> None:
        """As Kubernetes ends a container."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> None:
        """Wait for its end."""
        await asyncio.wait_for(self.process.wait(), 60)

    async def listens(self) -> bool:
        """Whether it takes new connections."""
        try:
            async with httpx2.AsyncClient(base_url=self.http.base_url) as fresh:
                await fresh.get("/healthz")
        except httpx2.TransportError:
            return False
        return True

    async def ready(self) -> tuple[int, str]:
        """The status of ``/readyz``, in numbers and in words."""
        answer = await self.http.get("/readyz")
        return answer.status_code, str(answer.json()["status"])


@asynccontextmanager
async def gateway_process(
    *flags: str, env: Mapping[str, str] | None = None, engines: bool = True
) -> AsyncIterator[GatewayProcess]:
    """``python -m autellix_gateway`` with these flags, once it is ready; without engines that answer it never is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "autellix_gateway", "--port", str(port), *flags), env={**os.environ, **(env or {})}
    )
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
            gateway = GatewayProcess(http, process)

            async def ready() -> bool:
                assert process.returncode is None, "the gateway ended"
                return await gateway.listens() and (not engines or (await gateway.ready())[0] == 200)

            await eventually(ready, "the gateway is ready", tries=3000)
            yield gateway
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
