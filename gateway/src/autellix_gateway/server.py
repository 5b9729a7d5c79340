"""The HTTP server, and how it ends.

Told to end, the gateway says so at once (``/readyz``) and refuses the calls that wait for an engine. It takes new calls
for a while, since those who send them hear of it late; only then does it listen no more, and lets calls under way end.
"""

import asyncio
import socket
import time
from collections.abc import Callable

import uvicorn

__all__ = ["Server"]

_LOOK_S = 0.05


class Server(uvicorn.Server):
    """``leave`` is called when it was told to end; ``drain_delay_s`` is how long it takes new calls after that.

    The server itself then waits for what is under way as long as its configuration says, and cuts off the rest. A
    second Ctrl-C ends every wait.
    """

    def __init__(self, config: uvicorn.Config, *, leave: Callable[[], None], drain_delay_s: float) -> None:
        super().__init__(config)
        self._leave = leave
        self._drain_delay_s = drain_delay_s

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Leave, wait, then as any server does."""
        self._leave()
        until = time.monotonic() + self._drain_delay_s
        while not self.force_exit and (left_s := until - time.monotonic()) > 0:  # noqa: ASYNC110 - a signal handler sets it
            await asyncio.sleep(min(left_s, _LOOK_S))
        await super().shutdown(sockets)
