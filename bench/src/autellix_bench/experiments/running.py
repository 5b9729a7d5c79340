"""Simulations over processes. Results come in the order of the plan, whichever process was quicker."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from autellix_bench.experiments.tasks import Task
from autellix_bench.points import Point

__all__ = ["each", "run"]

Asked = TypeVar("Asked")
Given = TypeVar("Given")


def run(tasks: Sequence[Task], *, processes: int) -> Iterator[Point]:
    """The point of each task; see :func:`each`."""
    return each(Task.point, tasks, processes=processes)


def each(work: Callable[[Asked], Given], items: Sequence[Asked], *, processes: int) -> Iterator[Given]:
    """What the work makes of each item, in their order.

    :raises ValueError: if ``processes`` is less than 1.
    """
    if processes < 1:
        raise ValueError(f"Simulations need at least one process, not {processes}.")
    if processes == 1:
        yield from map(work, items)
        return
    # Not forked: a process that has threads, as one with a progress bar has, cannot be forked safely.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(work, items, chunksize=1)
