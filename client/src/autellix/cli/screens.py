"""Where the commands write."""

from __future__ import annotations

import os
import sys

from rich.console import Console

__all__ = ["screen"]

_COLUMNS = 110


def screen() -> Console:
    """Standard output: as wide as the terminal is, and wide enough for the tables where it is a file or a pipe."""
    fixed = None if sys.stdout.isatty() or os.environ.get("COLUMNS") else _COLUMNS
    return Console(width=fixed, highlight=False)
