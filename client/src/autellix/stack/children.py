"""A child process behind a guard, with its log and its scratch folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from autellix import guard

__all__ = ["Child"]

_GRACE_S = 5.0
_STOP_S = 30.0  # the guard needs at most twice the grace, then SIGKILL


class Child:
    """A running command: it ends when told to, and with this process however that ends.

    Its output goes to `log` in its scratch folder, which is also its TMPDIR, so that what it forgets there goes
    with the folder.
    """

    def __init__(
        self, name: str, command: Sequence[str], scratch: Path, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = scratch / "log"
        scratch.mkdir(mode=0o700)
        guarded = [sys.executable, "-P", guard.__file__, "--grace", str(_GRACE_S), "--scratch", str(scratch)]
        with self.log.open("wb") as log:
            self._guard = subprocess.Popen(  # noqa: S603
                [*guarded, "--", *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(scratch), "PYTHONUNBUFFERED": "1", **(environ or {})},
            )

    @property
    def exit_status(self) -> int | None:
        """None while it runs; then its exit status, 128 + N where signal N ended it."""
        return self._guard.poll()

    def end(self) -> None:
        """Ask it to end; see `wait`."""
        if self._guard.poll() is None:
            self._guard.terminate()

    def wait(self) -> None:
        """Wait until it and everything below it is gone."""
        self._guard.wait(timeout=_STOP_S)
        if self._guard.stdin is not None:
            self._guard.stdin.close()

    def last_lines(self, count: int = 12) -> list[str]:
        """The end of its log, without blank lines."""
        try:
            text = self.log.read_text(errors="replace")
        except OSError:
            return []
        return [line.rstrip() for line in text.splitlines() if line.strip()][-count:]
