"""Which programs that live over HTTP have an object: so few that etcd never sees one for each short program.

Pure. A program that asked for it comes first; then those that were active most recently. What has an object keeps it
until the program is over, unless the room is needed by one that asked, or it was idle for long: objects that come and
go with every call would be worse than a choice that is a little old.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from autellix_core.pools import ProgramJSON
from autellix_operator.status import OPEN_STATES

__all__ = ["KUBERNETES", "Choice", "Mirroring", "choose", "last_active", "mirror_name", "seconds"]

KUBERNETES = "k8s:"
"""Ids of programs that began as objects begin so."""


@dataclass(frozen=True, slots=True)
class Mirroring:
    """The rules, in seconds."""

    after_s: float = 60.0
    at_most: int = 1000
    keep_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Choice:
    """Program ids. ``left_out`` counts those for which there was no room."""

    show: tuple[str, ...]
    hide: tuple[str, ...]
    left_out: int


def mirror_name(program: str) -> str:
    """Of the object that shows the program."""
    return f"p-{hashlib.sha256(program.encode()).hexdigest()[:16]}"


def seconds(timestamp: str | None) -> float:
    """Since the epoch; 0 for None."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def last_active(program: ProgramJSON) -> float:
    """When anything last happened to it, in seconds since the epoch."""
    return max(seconds(program[name]) for name in ("created_at", "last_arrival_at", "last_completion_at"))


def choose(
    programs: Iterable[ProgramJSON],
    shown: Mapping[str, bool],
    *,
    now_s: float,
    rules: Mirroring,
) -> Choice:
    """Whom to show and to hide; ``shown`` says of each that has an object whether it is over and was kept long enough.

    ``now_s`` is the table's clock.
    """
    hide = [program for program, kept_enough in shown.items() if kept_enough]
    stay = [program for program, kept_enough in shown.items() if not kept_enough]
    known = {program["id"]: program for program in programs}
    wanting = [
        program
        for program in known.values()
        if program["id"] not in shown
        and program["state"] in OPEN_STATES
        and program["model"]
        and not program["id"].startswith(KUBERNETES)
        and (program["mirror"] or now_s - seconds(program["created_at"]) >= rules.after_s)
    ]
    wanting.sort(key=lambda program: (not program["mirror"], -last_active(program), program["id"]))

    def yields(program: str) -> tuple[bool, float, str]:
        """The least loss first: over, else idle for longest."""
        row = known.get(program)
        if row is None or row["state"] not in OPEN_STATES:
            return (False, 0.0, program)
        return (True, last_active(row), program)

    def may_yield(program: str, to: ProgramJSON) -> bool:
        row = known.get(program)
        if row is None or row["state"] not in OPEN_STATES:
            return True
        if row["mirror"]:
            return False
        return to["mirror"] or now_s - last_active(row) >= rules.keep_s

    leaving = sorted(stay, key=yields)
    hide += [leaving.pop(0) for _ in range(len(leaving) - rules.at_most)]  # the cap was lowered
    show: list[str] = []
    for program in wanting:
        if len(leaving) + len(show) < rules.at_most:
            show.append(program["id"])
        elif (place := next((each for each in leaving if may_yield(each, program)), None)) is not None:
            leaving.remove(place)
            hide.append(place)
            show.append(program["id"])
        else:
            break
    return Choice(tuple(show), tuple(hide), len(wanting) - len(show))
