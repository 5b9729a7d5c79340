"""Tasks over processes. Points come in the order of the plan, whichever process was quicker."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

from autellix_bench.experiments.tasks import Task
from autellix_bench.points import Point

__all__ = ["run"]


def run(tasks: Sequence[Task], *, processes: int) -> Iterator[Point]:
    """The point of each task.

    :raises ValueError: if ``processes`` is less than 1.
    """
    if processes < 1:
        raise ValueError(f"Simulations need at least one process, not {processes}.")
    if processes == 1:
        yield from map(Task.point, tasks)
        return
    # Not forked: a process that has threads, as one with a progress bar has, cannot be forked safely.
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(Task.point, tasks, chunksize=1)
