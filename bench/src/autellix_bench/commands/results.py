"""A folder of results: the points of all experiments, the timeline, and how each was made.

Every file is replaced as a whole, so that an interrupted command leaves the last finished state.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

from autellix_bench import points, timeline
from autellix_bench.commands.failures import Failed
from autellix_bench.points import Point
from autellix_bench.timeline import Stretch

__all__ = ["Results", "append"]


class Results:
    """The folder, which is made when something is kept in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._points, self._stretches, self._facts = (
            folder / name for name in ("points.jsonl", "stretches.jsonl", "facts.json")
        )

    def points(self) -> list[Point]:
        """All of them; none where there is no file.

        :raises Failed: if a line is no point.
        """
        if not self._points.exists():
            return []
        try:
            with self._points.open(encoding="utf-8") as file:
                return list(points.read(file))
        except (ValueError, TypeError) as error:
            raise Failed(
                f"{self._points} has a line that is no point ({error}); remove the line or the file."
            ) from error

    def stretches(self) -> list[Stretch]:
        """The timeline; none where there is no file.

        :raises Failed: if a line is no stretch.
        """
        if not self._stretches.exists():
            return []
        try:
            with self._stretches.open(encoding="utf-8") as file:
                return list(timeline.read(file))
        except (ValueError, TypeError) as error:
            raise Failed(f"{self._stretches} has a line that is no stretch ({error}); remove the file.") from error

    def facts(self) -> Mapping[str, Mapping[str, str]]:
        """Of each experiment, how it was made."""
        if not self._facts.exists():
            return {}
        try:
            known: dict[str, dict[str, str]] = json.loads(self._facts.read_text(encoding="utf-8"))
        except ValueError as error:
            raise Failed(f"{self._facts} is no JSON ({error}); remove the file.") from error
        return known

    def keep_points(self, experiment: str, found: Sequence[Point], facts: Mapping[str, str]) -> None:
        """An experiment's, in place of those that it had."""
        kept = [point for point in self.points() if point.experiment != experiment]
        self._keep_facts(experiment, facts)
        self._replace(self._points, lambda file: points.write([*kept, *found], file))

    def keep_stretches(self, found: Iterable[Stretch], facts: Mapping[str, str]) -> None:
        """The timeline, in place of the one that was there."""
        self._keep_facts("timeline", facts)
        self._replace(self._stretches, lambda file: timeline.write(found, file))

    def _keep_facts(self, experiment: str, facts: Mapping[str, str]) -> None:
        known = {**self.facts(), experiment: dict(facts)}
        self._replace(self._facts, lambda file: json.dump(known, file, indent=1))

    def _replace(self, path: Path, write: Callable[[IO[str]], None]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        with part.open("w", encoding="utf-8") as file:
            write(file)
        part.replace(path)


def append(point: Point, to: Path) -> None:
    """One more point in a file."""
    with to.open("a", encoding="utf-8") as file:
        points.write([point], file)
