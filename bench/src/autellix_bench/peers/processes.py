"""A command that runs for as long as a block lasts, and nothing of which is left after it.

It runs behind the guard that ``autellix up`` uses: a process of its own that ends the command and all that it started,
also what left for a session of its own. If this process is killed it does so too, and removes the folder.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

__all__ = ["NotReady", "Running", "running"]

_GRACE_S = 20.0
_STOP_S = 60.0  # the guard needs at most twice the grace, then SIGKILL
_POLL_S = 0.1
_LINES = 20


class NotReady(Exception):
    """A system did not come up, or not as it was meant to; the message has the end of its log."""


class Running:
    """A running command, whose output goes to ``log`` in its folder."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.name = name
        self.log = folder / "log"
        guard = (sys.executable, "-P", "-m", "autellix.guard", "--grace", str(_GRACE_S), "--scratch", str(folder), "--")
        with self.log.open("wb") as log:
            self._guard = subprocess.Popen(  # noqa: S603 - our own command
                [*guard, *arguments],
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1", **environment},
            )

    async def await_ready(self, lacks: Callable[[], Awaitable[str | None]], *, deadline_s: float) -> None:
        """Wait until nothing is lacking.

        :raises NotReady: if the command ends before, or the deadline passes.
        """
        deadline = time.monotonic() + deadline_s
        while (lacking := await lacks()) is not None:
            self.check()
            if time.monotonic() > deadline:
                raise NotReady(f"{self.name} is not ready after {deadline_s:.0f} s: {lacking}. {self.end_of_log()}")
            await asyncio.sleep(_POLL_S)

    def check(self) -> None:
        """:raises NotReady: if the command has ended."""
        status = self._guard.poll()
        if status is not None:
            raise NotReady(f"{self.name} ended by itself (status {status}). {self.end_of_log()}")

    def end_of_log(self) -> str:
        """Its last lines."""
        lines = [line for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return "\n".join(("The end of its log:", *lines[-_LINES:])) if lines else "It logged nothing."

    def end(self) -> None:
        """End it and wait until all of it is gone."""
        if self._guard.poll() is None:
            self._guard.terminate()
        self._guard.wait(timeout=_STOP_S)
        if self._guard.stdin is not None:
            self._guard.stdin.close()


@asynccontextmanager
async def running(
    name: str, arguments: Sequence[str], *, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Running]:
    """Start the command in the folder; it is ended on leaving."""
    started = Running(name, arguments, environment or {}, folder)
    try:
        yield started
    finally:
        await asyncio.shield(asyncio.to_thread(started.end))
