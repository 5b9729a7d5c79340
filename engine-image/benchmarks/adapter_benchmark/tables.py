"""Results as tables: Markdown for people, JSON for programs."""

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["Table", "at_percentile"]


@dataclass(frozen=True, slots=True)
class Table:
    """One measurement."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str
    """How it was measured, and what the reader must know to read it."""
    values: dict[str, Any]
    """The same numbers and more, unrounded."""

    def to_markdown(self) -> str:
        """A heading, the note, a table."""
        widths = [max(len(row[index]) for row in (self.columns, *self.rows)) for index in range(len(self.columns))]
        lines = [self.columns, tuple("-" * width for width in widths), *self.rows]
        body = "\n".join(
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        )
        return f"## {self.title}\n\n{self.note}\n\n{body}\n"

    def to_json(self) -> dict[str, Any]:
        """Everything."""
        return asdict(self)


def at_percentile(values: Sequence[float], percent: int) -> float:
    """The value that so many percent of ``values`` do not exceed."""
    if percent == 50:
        return statistics.median(values)
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
