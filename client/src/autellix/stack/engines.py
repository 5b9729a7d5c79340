"""Where the engine's own Python environment is, and how an engine is started in it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from autellix import errors
from autellix.stack.plan import EngineProcesses

__all__ = ["command", "find_python"]

_IN_THE_PROJECT = Path(".venv-engine") / "bin" / "python"


def find_python(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path:
    """The interpreter that has vLLM: AUTELLIX_ENGINE_PYTHON, else the project's `.venv-engine` (here or in a folder
    above), else this one.

    :raises PartMissing: if none has it.
    """
    given = (os.environ if environ is None else environ).get("AUTELLIX_ENGINE_PYTHON")
    if given:
        found = shutil.which(given)
        if found is None:
            raise errors.PartMissing(
                f"AUTELLIX_ENGINE_PYTHON is {given}, which is no program; set it to the Python that has vLLM."
            )
        return Path(found)
    here = Path.cwd() if start is None else start
    for folder in (here, *here.parents):
        if os.access(folder / _IN_THE_PROJECT, os.X_OK):
            return folder / _IN_THE_PROJECT
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    raise errors.PartMissing(
        "There is no vLLM here: run `make engine` in the project, which installs it into .venv-engine, or set "
        "AUTELLIX_ENGINE_PYTHON to a Python that has it, or give running engines with --engine URL,URL."
    )


def command(python: Path, engines: EngineProcesses, port: int) -> list[str]:
    """One engine on one port of this machine."""
    return [
        *(str(python), "-m", "autellix_engine"),
        *("--model", engines.model, "--port", str(port)),
        *(("--", *engines.vllm_arguments) if engines.vllm_arguments else ()),
    ]
