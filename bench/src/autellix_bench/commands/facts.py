"""What a reader needs to repeat a run, or to see why theirs differs."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

__all__ = ["facts", "installed"]


def facts(*beside: str) -> Mapping[str, str]:
    """Of this process, now; ``beside`` are versions of what else it measured with."""
    own = f"Python {platform.python_version()}, autellix-bench {metadata.version('autellix-bench')}"
    return {
        "command": f"python -m autellix_bench {shlex.join(sys.argv[1:])}",
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "versions": ", ".join((own, *beside)),
        "commit": _commit(),
        "machine": f"{os.cpu_count()} x {_processor()}",
    }


def installed(python: Path, *distributions: str) -> list[str]:
    """Which of these another interpreter has, and in which versions."""
    asked = [str(python), "-c", _INSTALLED, *distributions]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.splitlines()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return []


_INSTALLED = """
import sys
from importlib import metadata
for each in sys.argv[1:]:
    try:
        print(each, metadata.version(each))
    except metadata.PackageNotFoundError:
        pass
"""


def _commit() -> str:
    """Of the checkout that this package is in; where it is installed otherwise, there is none."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "not in a git checkout"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
