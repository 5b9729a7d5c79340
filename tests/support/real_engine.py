"""A real engine for tests: vLLM with the adapter as a process of its own, and the fixtures that share it.

Starting one takes about 20 seconds and 1.1 GB, so a test session has at most two, both with a batch of two calls
(``--max-num-seqs 2``), and each starts when the first test asks for it.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

__all__ = ["MODEL", "RealEngine", "engine_python", "engines", "first_engine", "real_engine", "second_engine"]

MODEL = "autellix-tiny"
_START_S = 240.0
_END_S = 30.0
_SMALL_BATCH = ("--", "--max-num-seqs", "2")

# Linux ends the engine if the thread that started it ends, so a test run that is killed leaves none behind. Done by a
# process in between that becomes the engine: a function between fork and exec is not safe where there are threads.
_END_WITH_PARENT = """
import ctypes, os, signal, sys
prctl = getattr(ctypes.CDLL(None), "prctl", None)
if prctl is not None:
    prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@dataclass(frozen=True, slots=True)
class RealEngine:
    """A running engine."""

    url: str
    log: Path

    def logged(self) -> str:
        """All that the engine wrote."""
        return self.log.read_text(errors="replace")


def engine_python() -> Path:
    """The Python of the engine's environment: ``$AUTELLIX_ENGINE_PYTHON``, else the checkout's ``.venv-engine``.

    Without one the test is skipped; where CI is set it fails.
    """
    root = Path(__file__).parents[2]
    python = Path(os.environ.get("AUTELLIX_ENGINE_PYTHON") or root / ".venv-engine" / "bin" / "python")
    if not python.is_file():
        why = f"There is no engine environment at {python}; run `make engine`, or set AUTELLIX_ENGINE_PYTHON."
        if os.environ.get("CI"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    return python


@contextmanager
def real_engine(*arguments: str, port: int | None = None, path: Path | None = None) -> Iterator[RealEngine]:
    """Start ``python -m autellix_engine`` with these further arguments and end it, children included, on leaving.

    ``path`` is looked through for packages before the engine's environment, such as for another vLLM.
    """
    command = [str(engine_python()), "-c", _END_WITH_PARENT, "-m", "autellix_engine"]
    port = port or _free_port()
    with tempfile.TemporaryDirectory(prefix="autellix-engine-") as directory:
        log = Path(directory) / "engine.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, "--port", str(port), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    "TMPDIR": directory,  # vLLM leaves its sockets behind
                    **({} if path is None else {"PYTHONPATH": str(path)}),
                },
            )
        engine = RealEngine(url=f"http://127.0.0.1:{port}", log=log)
        try:
            _await_health(engine, process)
            yield engine
        finally:
            _end(process)


@pytest.fixture(scope="session")
def first_engine() -> Iterator[RealEngine]:
    with real_engine(*_SMALL_BATCH) as engine:
        yield engine


@pytest.fixture(scope="module")
def second_engine() -> Iterator[RealEngine]:
    with real_engine(*_SMALL_BATCH) as engine:
        yield engine


@pytest.fixture(scope="module")
def engines(first_engine: RealEngine, second_engine: RealEngine) -> tuple[RealEngine, RealEngine]:
    return first_engine, second_engine


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _await_health(engine: RealEngine, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{engine.url}/health", timeout=5):
                return
        except (urllib.error.URLError, OSError):
            if process.poll() is not None or time.monotonic() > deadline:
                how = "ended" if process.poll() is not None else f"was not ready after {_START_S:.0f} s"
                pytest.fail(f"The engine {how}. The end of its log:\n{engine.logged()[-4000:]}", pytrace=False)
        time.sleep(0.2)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the engine as its supervisor would, and fail if that left anything of it."""
    left = _with_children(process)
    process.terminate()
    _, left = psutil.wait_procs(left, timeout=_END_S)
    for each in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()
    assert not left, f"{_END_S:.0f} s after SIGTERM these processes of the engine still ran: {left}"


def _with_children(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        root = psutil.Process(process.pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
