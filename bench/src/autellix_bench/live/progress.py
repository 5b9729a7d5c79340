"""A progress bar for who waits at a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from autellix_bench.live.drives import Tally

__all__ = ["progress"]

_A_SECOND = 2  # more would be CPU that the driver needs


@contextmanager
def progress(
    total: int | None, *, title: str = "programs", console: Console | None = None
) -> Iterator[Callable[[Tally], None]]:
    """What :func:`drive` may be given as ``watch``. Where there is no terminal it shows nothing."""
    console = Console(stderr=True) if console is None else console
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[open]} open, {task.fields[failed]} failed"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, refresh_per_second=_A_SECOND, disable=not console.is_terminal) as shown:
        task = shown.add_task(title, total=total, open=0, failed=0)

        def watch(tally: Tally) -> None:
            ended = len(tally.programs)
            shown.update(task, completed=ended, open=tally.arrived - ended, failed=tally.failed)

        yield watch
