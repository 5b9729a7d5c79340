"""Simulated engines as processes, and the peers' environment or a reason to skip, for tests of what is compared."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from autellix_bench.peers import EngineShape

__all__ = ["SHAPE", "installed_peers", "simulated_engines"]

SHAPE = EngineShape(model="autellix-sim", load="", slots=8, kv_tokens=None, chars_per_token=4.0)
"""What the simulated engines are."""

_START_S = 30.0
_FAST = ("--inter-token-time", "0.001", "--time-to-first-token", "0.001")


def installed_peers() -> Path:
    """The folder of the peers' programs: ``$AUTELLIX_PEERS``, else the checkout's ``.venv-peers/bin``.

    Without one the test is skipped; where CI is set it fails, unless AUTELLIX_WITHOUT_PEERS says that this is meant.
    """
    folder = Path(os.environ.get("AUTELLIX_PEERS") or Path(__file__).parents[2] / ".venv-peers" / "bin")
    if not (folder / "vllm-router").is_file():
        why = (
            f"There are no peers in {folder}; run `make peers`, or set AUTELLIX_PEERS to the folder of their programs."
        )
        if os.environ.get("CI") and not os.environ.get("AUTELLIX_WITHOUT_PEERS"):
            pytest.fail(f"{why} Where they are to be left out, set AUTELLIX_WITHOUT_PEERS=1.", pytrace=False)
        pytest.skip(why)
    return folder


@contextmanager
def simulated_engines(count: int) -> Iterator[tuple[str, ...]]:
    """So many running ones; their URLs."""
    with ExitStack() as stack:
        urls = []
        for _ in range(count):
            port = _free_port()
            command = [sys.executable, "-m", "autellix_bench", "engine-sim", "--port", str(port), *_FAST]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(process.wait)
            stack.callback(process.terminate)
            urls.append(f"http://127.0.0.1:{port}")
        for url in urls:
            _await_health(url)
        yield tuple(urls)


def _await_health(url: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.05)
    pytest.fail(f"The simulated engine at {url} was not ready after {_START_S:.0f} s.")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
