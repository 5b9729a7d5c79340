"""Which programs are installed where: vLLM and the peers have environments of their own, since their pins differ."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["PartMissing", "engine_python", "peer_program"]


class PartMissing(Exception):
    """Something to be run is not installed; the message says how to install it."""


def engine_python(environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path:
    """The interpreter that has vLLM and the adapter: ``$AUTELLIX_ENGINE_PYTHON``, else the project's ``.venv-engine``,
    in this folder or in one above.

    :raises PartMissing: if there is none.
    """
    given = (os.environ if environ is None else environ).get("AUTELLIX_ENGINE_PYTHON")
    found = Path(given) if given else _above(start, Path(".venv-engine") / "bin" / "python")
    if found is None or not os.access(found, os.X_OK):
        raise PartMissing(
            f"There is no vLLM {f'at {given}' if given else 'here'}: run `make engine` in the project, or set "
            "AUTELLIX_ENGINE_PYTHON to a Python that has it and the adapter."
        )
    return found.absolute()


def peer_program(name: str, environ: Mapping[str, str] | None = None, start: Path | None = None) -> Path:
    """A peer's program: in ``$AUTELLIX_PEERS``, a folder of programs, else in the project's ``.venv-peers/bin``.

    :raises PartMissing: if it is not there.
    """
    given = (os.environ if environ is None else environ).get("AUTELLIX_PEERS")
    found = Path(given) / name if given else _above(start, Path(".venv-peers") / "bin" / name)
    if found is None or not os.access(found, os.X_OK):
        raise PartMissing(
            f"There is no {name} {f'in {given}' if given else 'here'}: run `make peers` in the project, or set "
            "AUTELLIX_PEERS to the folder that it is in."
        )
    return found.absolute()  # it is started in another folder


def _above(start: Path | None, wanted: Path) -> Path | None:
    here = Path.cwd() if start is None else start
    return next((folder / wanted for folder in (here, *here.parents) if (folder / wanted).exists()), None)
