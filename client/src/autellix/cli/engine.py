"""`autellix engine check`, `engine-sim` and `bench`: commands of other distributions, in this process's place."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence

import typer

from autellix import errors

__all__ = ["bench", "check", "engine_sim"]


def check(context: typer.Context) -> None:
    """Check that the engine at URL keeps the contract. `autellix engine check --help` is its own help."""
    _become("autellix_engine", "autellix_engine.conformance", context.args, part="engine's side", wants="[conformance]")


def engine_sim(context: typer.Context) -> None:
    """Run a simulated engine, without GPU or model. What follows goes to it, `--help` too."""
    _become("autellix_bench", "autellix_bench", ["engine-sim", *context.args], part="simulated engine")


def bench(context: typer.Context) -> None:
    """Measure what program-aware serving gains, simulated and live. What follows goes to it, `--help` too."""
    _become("autellix_bench", "autellix_bench", context.args, part="benchmark")


def _become(package: str, module: str, arguments: Sequence[str], *, part: str, wants: str = "") -> None:
    """:raises PartMissing: if the package is not installed beside this command."""
    if importlib.util.find_spec(package) is None:
        distribution = package.replace("_", "-")
        raise errors.PartMissing(
            f"The {part} is not installed beside this command: `pip install {distribution}{wants}`, or use "
            "`make install` in the project."
        )
    command = [sys.executable, "-m", module, *arguments]
    os.execv(command[0], command)  # noqa: S606 - signals and the exit status are then its own
