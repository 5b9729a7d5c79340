"""Sends programs to a target, open loop: a program arrives on schedule, however slow the answers to others are."""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack

from autellix_bench.live.asking import Asker
from autellix_bench.live.drives import Drive, Tally
from autellix_bench.live.targets import Target
from autellix_bench.live.transport import HttpTransport, Transport
from autellix_bench.live.walks import Walk
from autellix_bench.programs import Program
from autellix_bench.records import CallRecord

__all__ = ["drive"]


async def drive(
    programs: Iterable[Program],
    target: Target,
    *,
    record: Callable[[CallRecord], None] = lambda _: None,
    watch: Callable[[Tally], None] = lambda _: None,
    salt: str | None = None,
    transport: Transport | None = None,
) -> Drive:
    """Send all programs, in order of arrival, and wait for their ends.

    Programs are taken from the iterable as they arrive, and let go when they end: what is kept of each is its numbers
    (a :class:`ProgramRecord`, and eight bytes a call), so memory grows with the programs that are open at a time. Each
    call's record goes to ``record`` as the call ends, also if it failed or the run is cancelled; ``watch`` sees the
    counts after each arrival and end. ``salt`` is in all prompts and in the programs' ids: no other run on the same
    engines may have had it, else their caches know its prompts. It is drawn if not given.

    Cancelled, it gives all calls up, ends their sessions and leaves nothing running.
    """
    clock = _since_now()
    tally = Tally()
    cpu_s = time.process_time()
    async with AsyncExitStack() as stack:
        if transport is None:
            transport = await stack.enter_async_context(HttpTransport())
        asker = Asker(target, transport, salt=secrets.token_hex(6) if salt is None else salt)

        async def run(program: Program) -> None:
            walk = Walk(program, asker, clock=clock, record=record)
            try:
                await walk.run()
            finally:
                tally.ended(walk.records, session_left=walk.session_left)
                watch(tally)

        async with asyncio.TaskGroup() as group:
            for program in programs:
                await asyncio.sleep(max(0.0, program.arrival_s - clock()))
                group.create_task(run(program))
                tally.arrived += 1
                watch(tally)
    return tally.drive(wall_s=clock(), cpu_s=time.process_time() - cpu_s)


def _since_now() -> Callable[[], float]:
    """Seconds from here on by the event loop's clock, the one that calls are woken by."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    return lambda: loop.time() - began
