"""Runs one command so that nothing of it outlives the process that asked for it.

`autellix up` starts Redis, the engines and the gateway each behind a guard. An engine has processes of its
own, which a killed parent cannot end; the guard, which nobody kills by accident, ends them for it:

* Its standard input is a leash: a pipe whose other end only its parent holds. The pipe closes when the parent
  dies, however it dies, and the guard then ends the command. No signal, thread or process id is involved, so
  nothing can race with the parent's death.
* On Linux it is the reaper of everything below it (PR_SET_CHILD_SUBREAPER): a grandchild that was orphaned, or
  that left for a session of its own, is still its descendant and is found. Elsewhere only processes that are
  still linked to the command are found.
* It leads a session of its own, so Ctrl-C in the terminal reaches its parent alone, which decides the order.

Ending is SIGTERM to the command, then to what the command left behind, then SIGKILL until nothing is left.
If the parent is gone, the guard also removes the command's scratch folder.

It is started by path rather than with `-m`: four of these run beside a stack, and the package's own imports
would cost each of them half a second.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LEASH = 0  # standard input
_AFTER_TERM_S = 1.0
_POLL_S = 0.02
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(arguments: Sequence[str] | None = None) -> int:
    """Guard the command after `--`; return its exit status (128 + N where signal N ended it)."""
    parser = argparse.ArgumentParser(prog="autellix-guard", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--grace", type=float, default=5.0, help="seconds between SIGTERM and SIGKILL")
    parser.add_argument("--scratch", type=Path, help="folder to remove if the parent dies")
    parser.add_argument("command", nargs="+", help="what to run, after --")
    options = parser.parse_args(arguments)
    signals = _listen()
    _adopt_orphans()
    try:
        command = _start(options.command)
    except OSError as error:
        print(f"{options.command[0]} cannot be started: {error.strerror}.", file=sys.stderr)  # noqa: T201
        return 127
    status = _watch(command.pid, signals)
    if status is None:
        status = _end_command(command.pid, options.grace)
    _end_descendants()
    command.returncode = status  # reaped here, not by Popen
    if options.scratch is not None and _leash_is_cut():
        _remove(options.scratch)
    return status if status >= 0 else 128 - status


def _listen() -> int:
    """A descriptor on which every signal that matters arrives as one byte, its number."""
    receiving, sending = os.pipe()
    os.set_blocking(receiving, False)
    os.set_blocking(sending, False)
    signal.set_wakeup_fd(sending, warn_on_full_buffer=False)
    for number in (*_STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)  # the byte in the pipe is the message
    return receiving


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    guard = os.getpid()

    def die_with_the_guard() -> None:
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != guard:  # it died before the line above
                os.kill(os.getpid(), signal.SIGKILL)

    return subprocess.Popen(command, stdin=subprocess.DEVNULL, preexec_fn=die_with_the_guard)  # noqa: S603


def _watch(command: int, signals: int) -> int | None:
    """Wait until the command ends (its status) or has to be ended (None)."""
    with selectors.DefaultSelector() as selector:
        selector.register(_LEASH, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if signals in ready:
                numbers = os.read(signals, 256)
                status = _reap(command)
                if status is not None:
                    return status
                if any(number in numbers for number in _STOP_SIGNALS):
                    return None
            if _LEASH in ready and _leash_is_cut():
                return None


def _leash_is_cut() -> bool:
    """True once the parent has closed its end, by dying or on purpose. Drains what it wrote."""
    with selectors.DefaultSelector() as selector:
        selector.register(_LEASH, selectors.EVENT_READ)
        while selector.select(timeout=0):
            if not os.read(_LEASH, 1024):
                return True
    return False


def _reap(command: int) -> int | None:
    """Collect every child that ended; the command's status if it was among them."""
    found = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return found
        if pid == 0:
            return found
        if pid == command:
            found = os.waitstatus_to_exitcode(status)


def _end_command(command: int, grace_s: float) -> int:
    """SIGTERM to the command, which may have an order of its own to end in; SIGKILL after the grace."""
    status: int | None = None

    def ended() -> bool:
        nonlocal status
        status = _reap(command)
        return status is not None

    for number in (signal.SIGTERM, signal.SIGKILL):
        os.kill(command, number)  # not reaped yet, so the id is still its own
        if _wait(ended, grace_s):
            break
    while status is None:
        _wait(ended, grace_s)
    return status


def _end_descendants() -> None:
    """Whatever the command left: SIGTERM, then SIGKILL for as long as there is any (it may still fork)."""

    def none_left() -> bool:
        _reap(-1)
        return not _descendants()

    for process in _descendants():
        _send(process, signal.SIGTERM)
    _wait(none_left, _AFTER_TERM_S)
    while not none_left():
        for process in _descendants():
            _send(process, signal.SIGKILL)
        _wait(none_left, _POLL_S)


def _descendants() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _wait(condition: Callable[[], bool], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_S)
    return True


def _remove(scratch: Path) -> None:
    """Remove the folder; the last of several guards also finds the folder around it empty and removes it."""
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        scratch.parent.rmdir()
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main())
