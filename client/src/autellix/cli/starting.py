"""How a starting stack is shown: a line a part that changes in place, or a line a change where nobody looks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from autellix.stack import PartProgress, Stage, Watch

__all__ = ["shown"]

_NAME_WIDTH = 10


@contextmanager
def shown(console: Console) -> Iterator[Watch]:
    """Something for a stack to report to while it starts."""
    if not console.is_terminal:
        yield _lines(console)
        return
    spinner = Spinner("dots", style="cyan")
    with Live(console=console, refresh_per_second=8) as live:
        yield lambda parts: live.update(Group(*(_line(part, spinner) for part in parts)))


def _line(part: PartProgress, spinner: Spinner) -> Text:
    mark = {
        Stage.READY: Text("✔", style="green"),
        Stage.ENDED: Text("✘", style="bold red"),
    }.get(part.stage) or _frame(spinner)
    took = Text(f"{part.seconds:5.1f} s", style="" if part.stage is Stage.STARTING else "dim")
    name = Text(part.name.ljust(_NAME_WIDTH), style="bold")
    return Text.assemble("  ", mark, " ", name, took, "  ", (part.note, "dim"), no_wrap=True, overflow="ellipsis")


def _frame(spinner: Spinner) -> Text:
    frame = spinner.render(time.monotonic())
    assert isinstance(frame, Text)
    return frame


def _lines(console: Console) -> Watch:
    said: set[tuple[str, Stage, str]] = set()

    def watch(parts: Sequence[PartProgress]) -> None:
        for part in parts:
            change = (part.name, part.stage, part.note if part.stage is Stage.READY else "")
            if change not in said:
                said.add(change)
                after = f" after {part.seconds:.1f} s" if part.stage is not Stage.STARTING else ""
                console.print(f"{part.name}: {part.stage.value}{after} ({part.note})", soft_wrap=True)

    return watch
