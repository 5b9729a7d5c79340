"""The processes that a cluster consists of: each with a log of its own, and none that outlives the test run."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest

__all__ = ["Processes", "free_ports"]

_END_S = 5.0
"""After that a process is killed: an API server whose store is gone never ends by itself."""
_END_ALL_S = 2.0
"""The same where everything ends and nothing is kept."""

# Linux tells the process to end when the thread that started it has ended, so a test run that is killed leaves none
# behind. Done by a process in between that becomes the program.
_END_WITH_PARENT = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
os.execv(sys.argv[1], sys.argv[1:])
"""


class Processes:
    """Processes by name."""

    def __init__(self, logs: Path, before: Sequence[str] = ()) -> None:
        """``before`` stands before every command, such as the program that enters a network namespace."""
        self._logs = logs
        self._before = list(before)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        logs.mkdir(parents=True, exist_ok=True)

    def start(
        self,
        name: str,
        *command: str | Path,
        environment: Mapping[str, str] | None = None,
        before: Sequence[str] | None = None,
    ) -> None:
        """Start a program, given by its absolute path; its log is appended to."""
        assert name not in self._running, f"{name} runs already"
        whole = [*(self._before if before is None else before), *map(str, command)]
        with (self._logs / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [sys.executable, "-c", _END_WITH_PARENT, *whole],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=environment,
            )

    def pid(self, name: str) -> int:
        """Its process id."""
        return self._running[name].pid

    def stop(self, name: str) -> None:
        """End it, by force after five seconds, and wait until it is gone."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def kill(self, name: str) -> None:
        """End it as a crash would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop_all(self) -> None:
        """End all that still run; those that are slow to end, by force."""
        running, self._running = list(self._running.values()), {}
        for process in reversed(running):
            process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + _END_ALL_S
        for process in reversed(running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in running:
            process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """All that it wrote, in all its runs."""
        return (self._logs / f"{name}.log").read_text(errors="replace")

    def wait_for(self, name: str, what: str, holds: Callable[[], bool], *, within_s: float) -> None:
        """Look until it holds; fail with the end of ``name``'s log if that ends before, or if it takes too long."""
        deadline = time.monotonic() + within_s
        while not holds():
            ended = self._running[name].poll() is not None
            if ended or time.monotonic() > deadline:
                how = f"{name} ended" if ended else f"{within_s:.0f} s passed"
                pytest.fail(f"{how} before {what}. The end of {name}'s log:\n{self.log(name)[-4000:]}", pytrace=False)
            time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """So many ports on loopback that nobody listens on."""
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
