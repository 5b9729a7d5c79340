"""A command with unruly processes below it, for tests of what ends them. Run as `python THIS FOLDER CHILDREN...`.

Each child is named by its manners: `polite` ends at SIGTERM, `deaf` ignores it, `runaway` has left for a session
of its own and was orphaned at once (and is deaf too). Every process writes its id into FOLDER under its name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

__all__ = ["ids", "none_alive", "report", "wait_until"]


def wait_until(condition: object, timeout_s: float = 30.0) -> bool:
    """Poll a callable until it is true; False if it did not become so."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def ids(folder: Path, names: Sequence[str]) -> dict[str, int]:
    """The process ids of the named processes, waiting until all have reported."""

    def reported() -> bool:
        return all((folder / name).exists() for name in names)

    assert wait_until(reported), f"only {sorted(p.name for p in folder.iterdir())} started of {list(names)}"
    return {name: int((folder / name).read_text()) for name in names}


def none_alive(pids: Sequence[int]) -> bool:
    """True once none of the processes exists (a zombie counts as gone: it is its parent's to collect)."""

    def alive(pid: int) -> bool:
        try:
            return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    return not any(alive(pid) for pid in pids)


def report(folder: Path, name: str) -> None:
    """Write this process's id into the folder under the name, at once and whole."""
    unfinished = folder / f".{name}"
    unfinished.write_text(str(os.getpid()))
    unfinished.rename(folder / name)


def _live(folder: Path, name: str) -> None:
    manners = name.split("-")[0]
    if manners == "runaway":
        if os.fork():
            os._exit(0)
        os.setsid()
    if manners in {"deaf", "runaway"}:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report(folder, name)
    while True:
        time.sleep(60)


def _main(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        subprocess.Popen([sys.executable, __file__, "--live", str(folder), name])
    report(folder, "command")
    while True:
        time.sleep(60)


if __name__ == "__main__":
    if sys.argv[1] == "--live":
        _live(Path(sys.argv[2]), sys.argv[3])
    else:
        _main(Path(sys.argv[1]), sys.argv[2:])
