"""Live runs without sockets and without waiting: an event loop whose time jumps, and applications called directly."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message

from autellix_bench.live import Reply, Unreachable

Result = TypeVar("Result")

__all__ = ["AppTransport", "VirtualLoop", "virtually"]


class VirtualLoop(asyncio.SelectorEventLoop):
    """Goes on at once to the next moment at which something is to happen. What runs takes no time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def busy(self, seconds: float) -> None:
        """As if what runs now took so long."""
        self._now += seconds

    def _run_once(self) -> None:
        timers = [timer.when() for timer in self._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
        if not self._ready:  # type: ignore[attr-defined]
            assert timers, "Everything waits for something, and nothing will happen."
            self._now = max(self._now, min(timers))
        super()._run_once()  # type: ignore[misc]


def virtually(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run it in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)


class AppTransport:
    """The driver's transport to applications by host, such as ``engine`` in ``http://engine/v1/completions``."""

    def __init__(self, **apps: ASGIApp) -> None:
        self._apps = apps
        self.open = 0
        """Requests under way."""

    @asynccontextmanager
    async def send(self, method: str, url: str, *, headers: Mapping[str, str], body: bytes) -> AsyncIterator[Reply]:
        """See :class:`autellix_bench.live.Transport`."""
        host, _, path = url.removeprefix("http://").partition("/")
        messages: asyncio.Queue[Message | None] = asyncio.Queue()
        left = asyncio.Event()
        given = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Message:
            for message in given:
                return message
            await left.wait()
            return {"type": "http.disconnect"}

        async def serve() -> None:
            try:
                await self._apps[host](_scope(method, f"/{path}", headers), receive, messages.put)
            finally:
                messages.put_nowait(None)

        task = asyncio.create_task(serve())
        self.open += 1
        try:
            start = await messages.get()
            if start is None:
                raise Unreachable(f"{url} gave no answer.")
            answered = {name.decode(): value.decode() for name, value in start["headers"]}
            yield Reply(start["status"], answered, _pieces(messages))
        finally:
            self.open -= 1
            left.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)  # a server would log what it raised


async def _pieces(messages: "asyncio.Queue[Message | None]") -> AsyncIterator[bytes]:
    while True:
        message = await messages.get()
        if message is None:
            raise Unreachable("The answer broke off.")
        yield message.get("body", b"")
        if not message.get("more_body"):
            return


def _scope(method: str, path: str, headers: Mapping[str, str]) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
    }
