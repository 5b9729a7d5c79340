"""One system under the load: every program run at its time, the process table watched meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import httpx2

from autellix.demo import agents
from autellix.demo.workloads import Program
from autellix.endpoints import Endpoint
from autellix.exchanges import SessionsApi, send_async
from autellix_core import wire
from autellix_core.latency import Span, program_token_latency_s

__all__ = ["Look", "Outcome", "System", "Trial", "Watch", "Watching", "run"]

_LOOK_EVERY_S = 0.5
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class System:
    """A way to serve: how calls are ordered and where they go."""

    title: str
    short: str
    policy: str
    placement: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """One program's run: its calls as it saw them, its session as the gateway accounted for it."""

    program: Program
    calls: tuple[Span, ...]
    session: wire.SessionJSON

    @property
    def latency_s(self) -> float:
        """Program token latency, seconds a token."""
        return program_token_latency_s(self.calls)


@dataclass(frozen=True, slots=True)
class Trial:
    """All programs under one system, in order of arrival."""

    system: System
    outcomes: tuple[Outcome, ...]
    took_s: float


@dataclass(frozen=True, slots=True)
class Look:
    """A moment of a running trial: each program with its session, None where it has none yet."""

    system: System
    since_start_s: float
    rows: tuple[tuple[Program, wire.SessionJSON | None], ...]


Watch = Callable[[Look], None]
Watching = AbstractContextManager[Watch]


async def run(
    system: System,
    programs: Sequence[Program],
    place: agents.Place,
    *,
    watch: Watch,
    check: Callable[[], None],
) -> Trial:
    """Run every program at its arrival time. `check` is called with every look, to raise if the stack is broken.

    :raises ProgramFailed: if a program did; the others are cancelled.
    """
    api = SessionsApi(Endpoint.find(place.base_url))
    ids: dict[str, str] = {}
    start = time.monotonic()

    async def arrive(program: Program) -> tuple[Span, ...]:
        await asyncio.sleep(max(0.0, start + program.arrival_s - time.monotonic()))
        return await agents.run(program, place, lambda session: ids.__setitem__(program.name, session))

    async with httpx2.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as http:
        running = [asyncio.create_task(arrive(program)) for program in programs]
        seen: dict[str, wire.SessionJSON] = {}
        try:
            while not all(task.done() for task in running):
                await asyncio.wait(running, timeout=_LOOK_EVERY_S)
                check()
                for task in running:
                    if task.done():
                        task.result()  # raises what the program raised
                _remember(seen, await send_async(http, api.listed()))
                watch(Look(system, time.monotonic() - start, _rows(programs, ids, seen)))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        took_s = time.monotonic() - start
        final = [await send_async(http, api.info(ids[program.name])) for program in programs]
    outcomes = (
        Outcome(program, task.result(), session)
        for program, task, session in zip(programs, running, final, strict=True)
    )
    return Trial(system, tuple(outcomes), took_s)


def _remember(seen: dict[str, wire.SessionJSON], listed: list[wire.SessionJSON]) -> None:
    """Keep what was last known of sessions that are not listed any more: those have ended."""
    for session in seen.values():
        session["state"] = "ended"
        session["active_calls"] = 0
    seen.update((session["id"], session) for session in listed)


def _rows(
    programs: Sequence[Program], ids: Mapping[str, str], seen: Mapping[str, wire.SessionJSON]
) -> tuple[tuple[Program, wire.SessionJSON | None], ...]:
    return tuple((program, seen.get(ids.get(program.name, ""))) for program in programs)
