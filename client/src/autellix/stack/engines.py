"""Where the engine's own Python environment is, and how an engine is started in it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from autellix import errors
from autellix.stack.plan import EngineProcesses

__all__ = ["command", "environment", "find_gpus", "find_python"]

_IN_THE_PROJECT = Path(".venv-engine") / "bin" / "python"
_LIST_GPUS_S = 10.0
_GPU_MEMORY = 0.9
"""The part of a GPU's memory that its engines take together; vLLM's own default for one is about as much."""


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


def find_gpus(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The GPUs that engines may use: those of CUDA_VISIBLE_DEVICES, else all that the driver lists."""
    given = (os.environ if environ is None else environ).get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return tuple(device.strip() for device in given.split(",") if device.strip())
    lister = shutil.which("nvidia-smi")
    if lister is None:
        return ()
    try:
        listed = subprocess.run(  # noqa: S603
            [lister, "--list-gpus"], capture_output=True, text=True, timeout=_LIST_GPUS_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]
    return tuple(str(index) for index in range(len(found)))


def command(python: Path, engines: EngineProcesses, port: int, gpus: Sequence[str] = ()) -> list[str]:
    """One engine on one port of this machine. Engines that share a GPU share its memory, or the second would find
    none."""
    sharing = -(-engines.count // len(gpus)) if gpus else 1
    memory = ("--gpu-memory-utilization", f"{_GPU_MEMORY / sharing:.2f}") if sharing > 1 else ()
    vllm_arguments = (*memory, *engines.vllm_arguments)  # what the user gave comes last and wins
    return [
        *(str(python), "-m", "autellix_engine"),
        *("--model", engines.model, "--port", str(port)),
        *(("--", *vllm_arguments) if vllm_arguments else ()),
    ]


def environment(number: int, gpus: Sequence[str]) -> dict[str, str]:
    """What the engine of this number (from 0) is told beyond our own environment: which GPU is its."""
    return {"CUDA_VISIBLE_DEVICES": gpus[number % len(gpus)]} if gpus else {}
