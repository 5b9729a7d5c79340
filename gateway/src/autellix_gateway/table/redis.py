"""The process table in Redis: one for all gateways of a pool.

Each verb is one Lua script, sent as one EVALSHA with all keys of the pool, its arguments packed in one msgpack map;
what the keys hold is written down in ``lua/include/keys.lua``. Works with Redis 6.2 and later, Valkey, and clusters of
them. Redis must not evict (``maxmemory-policy noeviction``): rows and their indices belong together.
"""

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.exceptions
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_gateway.table import records, refusals, scripts
from autellix_gateway.table.memory import FORGET_AT_SETTLING
from autellix_gateway.table.protocol import (
    Admission,
    Arrival,
    CallRef,
    Limits,
    Progress,
    Published,
    Swept,
    TableAway,
)

__all__ = ["RedisTable", "connect"]

_KEYS = ("programs", "calls", "leases", "settled", "due", "activity", "engines", "tenants", "fence", "gateways", "said")
_VERBS = (
    "start_session",
    "arrive",
    "dispatch",
    "renew",
    "settle",
    "end_session",
    "sweep",
    "programs",
    "publish",
    "published",
)
_PAGE = 1000
"""Rows or calls that are read at once; more would hold up every other verb of the pool."""
_FORGET_FACTOR = 20
"""A round of the sweep forgets so many settled calls for each lease or program it looks at: they cost far less."""
_CONNECTIONS = 64
"""More than enough to keep one server busy, which runs one script at a time."""

_AWAY = (
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
    redis.exceptions.RedisClusterException,
    redis.exceptions.ClusterError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
    OSError,
)
_AWAY_CODES = re.compile(r"\b(BUSY|CLUSTERDOWN|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|TRYAGAIN)\b")
"""Replies of a server that cannot write at the moment. The driver has no exception of its own for some; and Redis 6.2
puts the code in the middle of its sentence when a command inside a script is refused."""


def connect(
    url: str,
    pool: str,
    limits: Limits,
    *,
    timeout_s: float,
    password: str | None = None,
    clock: Callable[[], float] | None = None,
) -> "RedisTable":
    """The table of ``pool`` on the Redis at ``url`` (``redis://``, ``rediss://`` or ``unix://``). Connects later.

    ``password`` is for a URL without one, so that it needs no percent-encoding.
    No verb waits for longer than about ``timeout_s``, which is also what a verb waits for a connection; a connection
    gone stale is opened once more.
    """
    connections = BlockingConnectionPool.from_url(
        url,
        password=password,
        max_connections=_CONNECTIONS,
        timeout=timeout_s,
        socket_timeout=timeout_s,
        socket_connect_timeout=timeout_s,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.exceptions.ConnectionError,)),
    )
    return RedisTable(Redis.from_pool(connections), pool, limits, clock=clock)


class RedisTable:
    """The process table of ``pool`` on the server or cluster that ``client`` is for, which must not decode replies.

    ``clock`` is for tests; without it the scripts ask the server for the time, so gateways need not agree on it.
    """

    def __init__(
        self,
        client: Redis | RedisCluster,
        pool: str,
        limits: Limits,
        *,
        clock: Callable[[], float] | None = None,
        sweep_at_most: int = 500,
    ) -> None:
        self._client = client
        self._limits = limits
        self._clock = clock
        self._sweep_at_most = sweep_at_most
        self._keys = [f"autellix:{{{pool}}}:{name}" for name in _KEYS]
        self._scripts = {verb: client.register_script(scripts.script(verb)) for verb in _VERBS}

    async def start_session(self, program: ProgramId, *, tenant: str, model: str, mirror: bool = False) -> Program:
        reply = await self._run(
            "start_session",
            program=program,
            tenant=tenant,
            model=model,
            mirror=mirror,
            programs_per_tenant=self._limits.programs_per_tenant,
        )
        match reply.get("error"):
            case "session_ended":
                raise refusals.session_ended(program)
            case "too_many_programs":
                raise refusals.too_many_programs(tenant, self._limits)
        return records.program(reply["row"])

    async def arrive(self, arrival: Arrival) -> Admission:
        reply = await self._run(
            "arrive",
            program=arrival.program,
            call=arrival.call,
            tenant=arrival.tenant,
            model=arrival.model,
            single_call=arrival.single_call,
            programs_per_tenant=self._limits.programs_per_tenant,
            lease_s=self._limits.lease_s,
        )
        if "error" in reply:
            raise refusals.session_ended(arrival.program)
        return records.admission(reply, arrival.call)

    async def dispatch(self, ref: CallRef, engine: EngineId, *, home: bool) -> None:
        await self._run("dispatch", **records.reference(ref), engine=engine, home=home)

    async def renew(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
        if not calls:
            return ()
        reply = await self._run("renew", calls=[records.progress(call) for call in calls], lease_s=self._limits.lease_s)
        return tuple(calls[place].ref for place in reply)

    async def complete(self, ref: CallRef, measured: Measured) -> bool:
        return await self._settle(ref, measured, completed=True)

    async def abort(self, ref: CallRef, measured: Measured) -> bool:
        return await self._settle(ref, measured, completed=False)

    async def unsettled(self, calls: Sequence[CallId]) -> Sequence[CallId]:
        unsettled: list[CallId] = []
        for start in range(0, len(calls), _PAGE):
            page: list[str] = list(calls[start : start + _PAGE])
            async with _errors():
                stamps = await self._client.zmscore(self._keys[_KEYS.index("settled")], page)
            unsettled += [CallId(call) for call, at in zip(page, stamps, strict=True) if at is None]
        return tuple(unsettled)

    async def end_session(self, program: ProgramId) -> Program | None:
        reply = dict(await self._run("end_session", program=program))
        return records.program(reply["row"]) if reply else None

    async def sweep(self) -> Swept:
        """In rounds of at most ``sweep_at_most`` calls and programs, so that no other verb waits for long."""
        calls = programs = 0
        more = True
        while more:
            reply = await self._run(
                "sweep", at_most=self._sweep_at_most, forget_at_most=_FORGET_FACTOR * self._sweep_at_most
            )
            calls += reply["calls"]
            programs += reply["programs"]
            more = reply["more"]
        return Swept(calls=calls, programs=programs)

    async def program(self, program: ProgramId) -> Program | None:
        async with _errors():
            record = await self._client.hget(self._keys[_KEYS.index("programs")], program)
        return None if record is None else records.program(records.unpack(record))

    async def programs(
        self, *, tenant: str | None = None, active_since: float | None = None, limit: int = 1000
    ) -> Sequence[Program]:
        """Rows, those that changed last first, read by pages: one that changes meanwhile may be missed."""
        found: dict[ProgramId, Program] = {}
        offset: int | None = 0
        while offset is not None and len(found) < limit:
            reply = await self._run(
                "programs",
                tenant=tenant,
                active_since=active_since,
                offset=offset,
                page=_PAGE,
                limit=limit - len(found),
            )
            rows = (records.program(record) for record in reply["rows"])
            found.update((row.id, row) for row in rows)
            offset = reply.get("next_offset")
        return tuple(found.values())

    async def publish(self, gateway: str, row: bytes, *, ttl_s: float) -> None:
        await self._run("publish", gateway=gateway, row=records.text(row), ttl_s=ttl_s)

    async def published(self) -> Published:
        return records.published(await self._run("published"))

    async def ping(self) -> None:
        """Asks for a write, which a server that is loading, full or a replica refuses although it is there."""
        async with _errors():
            await self._client.set(self._keys[_KEYS.index("fence")], 0, nx=True)

    async def close(self) -> None:
        await self._client.aclose()

    async def _settle(self, ref: CallRef, measured: Measured, *, completed: bool) -> bool:
        settled: bool = await self._run(
            "settle", **records.reference(ref), measured=records.measured(measured), completed=completed
        )
        return settled

    async def _run(self, verb: str, **arguments: Any) -> Any:
        arguments["session_ttl_s"] = self._limits.session_ttl_s
        arguments["remember_s"] = self._limits.remember_s
        arguments["forget_at_settling"] = FORGET_AT_SETTLING
        if self._clock is not None:
            arguments["now"] = self._clock()
        async with _errors():
            reply = await self._scripts[verb](keys=self._keys, args=[records.pack(arguments)])
        return records.unpack(reply)


@asynccontextmanager
async def _errors() -> AsyncIterator[None]:
    """Turn what the driver raises when the server is out of reach into :class:`TableAway`."""
    try:
        yield
    except _AWAY as error:
        raise TableAway(
            f"The process table in Redis cannot be reached: {str(error) or type(error).__name__}."
        ) from error
    except redis.exceptions.ResponseError as error:
        if _AWAY_CODES.search(str(error)) is None:
            raise
        raise TableAway(f"Redis cannot serve the process table at the moment: {error}.") from error
