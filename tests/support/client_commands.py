"""The `autellix` command in a process of its own, with engines that answer at once and have unruly children."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil

import client_engine
import client_process_trees as trees

__all__ = ["Running"]


class Running:
    """A running `autellix` command, with all that it may leave. Its engines are the unruly ones, unless a Python with
    others is given."""

    def __init__(self, folder: Path, *arguments: str, fault: str = "", engine_python: Path | None = None) -> None:
        self.ids, self.output = folder / "ids", folder / "output"
        self.ids.mkdir()
        self.temporary = Path(tempfile.mkdtemp(prefix="up-"))  # short enough for the sockets that go into it
        environ = {
            **os.environ,
            "COLUMNS": "200",
            "TMPDIR": str(self.temporary),
            "CLIENT_ENGINE_IDS": str(self.ids),
            "CLIENT_ENGINE_FAULT": fault,
            "AUTELLIX_ENGINE_PYTHON": str(engine_python or client_engine.as_engine_python(folder)),
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "autellix", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN),  # as shells do in the background
            )
        self.seen: dict[int, psutil.Process] = {}

    def said(self) -> str:
        return self.output.read_text()

    def look(self) -> None:
        """Remember every process there is below it."""
        try:
            self.seen.update((p.pid, p) for p in psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def has_said(self, words: str) -> bool:
        self.look()
        return words in self.said() or self.process.poll() is not None

    def wait_until_it_says(self, words: str) -> None:
        """Fails with what it said instead, if it ends or four minutes go by."""
        trees.wait_until(lambda: self.has_said(words), 240)
        assert words in self.said(), self.said()

    def engine_ids(self) -> list[int]:
        reports = [path for path in self.ids.glob("*/[!.]*") if path.name != "extra"]
        return [int(report.read_text()) for report in reports]

    def everything_is_gone(self) -> bool:
        pids = [*self.engine_ids(), *self.seen]
        return trees.none_alive(pids) and not any(self.temporary.iterdir())

    def end(self) -> None:
        self.look()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        trees.wait_until(self.everything_is_gone)
        shutil.rmtree(self.temporary)
