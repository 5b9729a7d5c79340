"""A run in the Trace Event Format, which Perfetto and Chrome load: an engine is a process, a lane a thread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from autellix_bench.report.lanes import by_engine
from autellix_bench.timeline import Stretch

__all__ = ["write"]


def write(stretches: Sequence[Stretch], to: IO[str]) -> None:
    """One JSON object, an event a line; times in whole microseconds."""
    to.write('{"displayTimeUnit":"ms","traceEvents":[\n')
    for number, event in enumerate(_events(stretches)):
        to.write((",\n" if number else "") + json.dumps(event, separators=(",", ":"), sort_keys=True))
    to.write("\n]}\n")


def _events(stretches: Iterable[Stretch]) -> Iterator[dict[str, Any]]:
    for process, (engine, placed) in enumerate(by_engine(stretches).items(), start=1):
        yield {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": engine}}
        for lane in range(1 + max(lane for lane, _ in placed)):
            yield {"ph": "M", "name": "thread_name", "pid": process, "tid": lane, "args": {"name": f"lane {lane}"}}
        for lane, stretch in placed:
            yield _complete(stretch, process, lane)


def _complete(stretch: Stretch, process: int, lane: int) -> dict[str, Any]:
    began_us, ended_us = round(stretch.began_s * 1e6), round(stretch.ended_s * 1e6)
    return {
        "ph": "X",
        "name": f"{stretch.program} {stretch.call}",
        "cat": f"{stretch.workload},level {stretch.level}",
        "pid": process,
        "tid": lane,
        "ts": began_us,
        "dur": ended_us - began_us,
        "args": {"program": stretch.program, "call": stretch.call, "level": stretch.level},
    }
