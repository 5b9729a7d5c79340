"""Dockerfiles, read as far as tests ask about them."""

import fnmatch
import json
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = [
    "Instruction",
    "copied",
    "environment_of",
    "exec_form",
    "ignored",
    "instructions",
    "last",
    "last_stage",
]

_ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its continuation lines joined."""

    name: str
    value: str


def instructions(path: Path) -> list[Instruction]:
    """All instructions of a Dockerfile, in order."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines()]


def last_stage(given: list[Instruction]) -> list[Instruction]:
    """What the image itself is made of."""
    start = max(index for index, each in enumerate(given) if each.name == "FROM")
    return given[start:]


def last(given: list[Instruction], name: str) -> str:
    """The value of the last instruction of that name: the one that counts."""
    return next(each.value for each in reversed(given) if each.name == name)


def exec_form(value: str) -> list[str]:
    """The command that an ENTRYPOINT, or the CMD of a HEALTHCHECK, gives as a JSON array. Raises if it does not."""
    command: list[str] = json.loads(value[value.index("[") :])
    return command


def environment_of(given: list[Instruction]) -> dict[str, str]:
    """What the ENV instructions set; values hold no spaces here."""
    pairs = (pair for each in given if each.name == "ENV" for pair in each.value.split())
    return dict(pair.split("=", 1) for pair in pairs)


def copied(given: list[Instruction]) -> list[str]:
    """What is copied from the build's context."""
    words = [each.value.split() for each in given if each.name in {"COPY", "ADD"}]
    return [source for each in words if not each[0].startswith("--from=") for source in each[:-1]]


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps the path from the build: the last line that matches decides."""
    parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
    out = False
    for line in (_ROOT / ".dockerignore").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern = line.removeprefix("!")
            anywhere = pattern.startswith("**/")
            names = [Path(each).name for each in parents] if anywhere else parents
            if any(fnmatch.fnmatch(name, pattern.removeprefix("**/")) for name in names):
                out = not line.startswith("!")
    return out
