"""vLLM as a process of its own: with the adapter, or the same command line without it."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from autellix_engine import __main__ as command
from autellix_engine import launch as launching
from autellix_engine import tiny_model

__all__ = ["ADAPTER", "FCFS", "PRIORITY", "Server", "System", "serving"]

_START_S = 240.0
_END_S = 30.0


@dataclass(frozen=True, slots=True)
class System:
    """What is compared."""

    name: str
    adapter: bool
    flags: tuple[str, ...] = ()
    """For vLLM."""


FCFS = System("stock FCFS", adapter=False, flags=("--scheduling-policy", "fcfs"))
PRIORITY = System("stock priority", adapter=False, flags=("--scheduling-policy", "priority"))
ADAPTER = System("adapter", adapter=True)


@dataclass(frozen=True, slots=True)
class Server:
    """A running engine."""

    system: System
    url: str
    pid: int

    def cpu_s(self) -> float:
        """CPU time that its processes have taken so far, in seconds."""
        root = psutil.Process(self.pid)
        return sum(sum(each.cpu_times()[:2]) for each in (root, *root.children(recursive=True)))


@asynccontextmanager
async def serving(system: System, *flags: str, settings: Sequence[str] = ()) -> AsyncIterator[Server]:
    """Start the system's server and end it on leaving. ``settings`` are the adapter's, ``flags`` vLLM's.

    Raises RuntimeError with the end of its log if it does not come up.
    """
    port = _free_port()
    stock = () if system.adapter else ("--stock",)
    launch = command.parse(["--port", str(port), *stock, *settings, "--", *flags, *system.flags])
    arguments = launching.arguments(launch, tiny_model.build(tiny_model.cache_directory()))
    with tempfile.TemporaryDirectory(prefix="autellix-bench-") as directory:
        log = Path(directory) / "log"
        environment = {**launching.environment(launch, os.environ), "TMPDIR": directory}
        with log.open("wb") as output:
            process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own command; it returns at once
                arguments, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
            )
        server = Server(system, f"http://127.0.0.1:{port}", process.pid)
        try:
            await asyncio.to_thread(_await_health, server, process, log)
            yield server
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_health(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5):  # noqa: S310 - our own server
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                end = log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"The server of {server.system.name} did not come up:\n{end}") from None
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_END_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever of it is left
        process.wait()
