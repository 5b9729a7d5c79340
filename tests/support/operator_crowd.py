"""Programs by the thousand in a process table, of which some go on, and when each of them came to what it is."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from autellix_core.program import CallId, EngineId, Measured, ProgramId
from autellix_gateway.demand.rows import EngineRow, GatewayRow
from autellix_gateway.table.protocol import Arrival, Limits, ProcessTable
from autellix_gateway.table.redis import RedisTable, connect

__all__ = ["CALL_S", "Crowd", "filled", "said_by_another_gateway"]

CALL_S = 0.25
"""Service of each call, by which a status tells how many calls it knows of."""
_AT_ONCE = 48
_TENANTS = 4


async def filled(url: str, pool: str, *, model: str, count: int) -> None:
    """Programs of two calls each that nobody asked to show, idle for a minute to fifty."""
    for part in range(10):
        long_ago = time.time() - 60.0 - 300.0 * (9 - part)
        table = connect(url, pool, Limits(), timeout_s=30.0, clock=lambda at=long_ago: at)  # type: ignore[misc]
        try:
            await _each(
                _call(table, f"old-{number}", call, model=model, engine=None)
                for number in range(part, count, 10)
                for call in range(2)
            )
        finally:
            await table.close()


async def said_by_another_gateway(table: ProcessTable, pools: Mapping[str, Sequence[str]], *, model: str) -> None:
    """Until cancelled: a gateway says that it reaches these engines, by pool."""
    engines = tuple(
        EngineRow(id=EngineId(name), pool=pool, models=(model,), up=True, slots=8)
        for pool, names in pools.items()
        for name in names
    )
    row = GatewayRow(engines, pools=dict.fromkeys(pools, model)).to_bytes()
    while True:
        await table.publish("another", row, ttl_s=10.0)
        await asyncio.sleep(1.0)


class Crowd:
    """Programs that asked to be shown, each at home in one of the engines."""

    def __init__(self, table: RedisTable, names: Sequence[str], engines: Sequence[str], *, model: str) -> None:
        self.names = names
        self._table = table
        self._model = model
        self._homes = {name: EngineId(engines[place % len(engines)]) for place, name in enumerate(names)}
        self._done_at: dict[str, list[float]] = defaultdict(list)

    async def begin(self) -> None:
        """Open them all, and let each have its first call."""
        await _each(
            self._table.start_session(ProgramId(name), tenant="crowd", model=self._model, mirror=True)
            for name in self.names
        )
        await _each(self._call(name) for name in self.names)

    async def go_on(self, names: Sequence[str], *, per_s: float, for_s: float) -> int:
        """Calls of these in turn, so many a second; how many there were."""
        began, done = time.monotonic(), 0
        while (passed := time.monotonic() - began) < for_s:
            due = int(passed * per_s) - done
            await _each(self._call(names[(done + place) % len(names)]) for place in range(due))
            done += due
            await asyncio.sleep(0.05)
        return done

    def behind_s(self, name: str, service_s: float, *, at: float) -> float:
        """For how long the program has had more than that service, on the monotonic clock; 0 if it has not."""
        known, done_at = round(service_s / CALL_S), self._done_at[name]
        return max(0.0, at - done_at[known]) if known < len(done_at) else 0.0

    async def _call(self, name: str) -> None:
        call = len(self._done_at[name])
        self._done_at[name].append(time.monotonic())
        await _call(self._table, name, call, model=self._model, engine=self._homes[name], tenant="crowd")


async def _call(
    table: ProcessTable, name: str, call: int, *, model: str, engine: EngineId | None, tenant: str = ""
) -> None:
    tenant = tenant or f"tenant-{len(name) * 31 % _TENANTS}-{name[-1]}"
    arrival = Arrival(ProgramId(name), CallId(f"{name}-{call}"), tenant, model)
    ref = (await table.arrive(arrival)).ref
    if engine is not None:
        await table.dispatch(ref, engine, home=True)
    await table.complete(ref, Measured(service_s=CALL_S, wait_s=0.1, prompt_tokens=100, output_tokens=20))


async def _each(steps: Iterable[object]) -> None:
    """All of these, some at once."""
    left = iter(steps)

    async def some() -> None:
        for step in left:
            await step  # type: ignore[misc]

    await asyncio.gather(*(some() for _ in range(_AT_ONCE)))
