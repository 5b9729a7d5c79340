"""The contract of the process table: its verbs and what they return.

One verb is one atomic step. Each settles exactly once, whoever sends it and however often: a call has an id and a
fence, and is remembered for a while after it was settled. Stamps are the table's own clock, in seconds since the
epoch, so gateways need not agree on the time.

A verb that cannot reach its storage raises :class:`TableAway`; it may or may not have been done, and may be sent again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from autellix_core.errors import AutellixError
from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId

__all__ = [
    "Admission",
    "Arrival",
    "CallRef",
    "Limits",
    "ProcessTable",
    "Progress",
    "Published",
    "SessionEnded",
    "Swept",
    "TableAway",
    "TooManyPrograms",
]


class TableAway(AutellixError):
    """The table's storage cannot be reached."""


class SessionEnded(AutellixError):
    """The program was ended; it takes no further call."""


class TooManyPrograms(AutellixError):
    """The tenant holds as many open programs as it may."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the table. Times in seconds."""

    session_ttl_s: float = 3600.0
    """A program that neither sent nor finished a call for so long, and has none under way, expires."""
    remember_s: float = 600.0
    """How long ended and expired programs stay readable, and settled calls known."""
    lease_s: float = 30.0
    """A call's lease; its gateway renews it several times in that span."""
    programs_per_tenant: int = 10_000
    """Open programs that one tenant may hold; calls beyond it are each a program of their own. Programs of a single
    call are not counted, nor those that ended or expired."""


@dataclass(frozen=True, slots=True)
class CallRef:
    """Names one call: its program, its id and the fence it was given when it arrived."""

    program: ProgramId
    call: CallId
    fence: int


@dataclass(frozen=True, slots=True)
class Arrival:
    """A call that reached a gateway. ``single_call``: its client named no program, so it is one of its own, which goes
    when its call is settled. A call id is one call of the whole pool, whatever else a repeated arrival says."""

    program: ProgramId
    call: CallId
    tenant: str
    model: str
    single_call: bool = False


@dataclass(frozen=True, slots=True)
class Admission:
    """What a gateway needs to order and place a call, all from one instant."""

    ref: CallRef
    """Its program may be another than the one asked for: see ``over_limit``."""
    inherited_s: float
    """The program's critical path (ATLAS)."""
    service_s: float
    """T: engine time of the program's settled calls (PLAS)."""
    wait_s: float
    """W: queue time of the program's settled calls."""
    home: EngineId | None
    engine_calls: Mapping[EngineId, int]
    """How many calls each engine holds, over all gateways; engines that hold none may be left out."""
    over_limit: bool = False
    """The tenant holds too many programs: this call became a program of its own, named by the call's id."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A call under way and what it has cost so far."""

    ref: CallRef
    wait_s: float = 0.0
    service_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Published:
    """What gateways said of themselves lately, and what the table counts, from one instant."""

    at: float
    """The table's clock."""
    rows: Mapping[str, bytes]
    """By gateway, those that are not stale."""
    engine_calls: Mapping[EngineId, int]
    """How many calls each engine holds, over all gateways."""


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep took away."""

    calls: int
    """Calls whose lease had run out."""
    programs: int
    """Programs that expired."""


class ProcessTable(Protocol):
    """The process table of one pool of engines."""

    async def start_session(self, program: ProgramId, *, tenant: str, model: str, mirror: bool = False) -> Program:
        """Open a program before its first call; one that is known already is returned as it is. An expired one reopens
        when a call arrives, not here. ``mirror``: see :class:`Program`; nothing changes it later.

        Raises :class:`TooManyPrograms` over the tenant's limit, :class:`SessionEnded` for one that was ended.
        """

    async def arrive(self, arrival: Arrival) -> Admission:
        """Register a call, creating its program if need be, with a lease.

        A repeated arrival returns the same fence and inherited service. Raises :class:`SessionEnded` for an ended
        program. A call that was settled already (its id is remembered) is not registered again: its admission's
        fence settles nothing.
        """

    async def dispatch(self, ref: CallRef, engine: EngineId, *, home: bool) -> None:
        """The call went to ``engine``: count it there (and no longer elsewhere, if it was moved)."""

    async def renew(self, calls: Sequence[Progress]) -> Sequence[CallRef]:
        """Prolong the leases of one gateway's calls; returns those to wind up: swept, or of an ended program."""

    async def complete(self, ref: CallRef, measured: Measured) -> bool:
        """Fold a finished call into its program and take it off its engine. False: it was settled before."""

    async def abort(self, ref: CallRef, measured: Measured) -> bool:
        """The same for a call that did not finish."""

    async def unsettled(self, calls: Sequence[CallId]) -> Sequence[CallId]:
        """Those of these calls that it does not know as settled: under way, never heard of, lost or long forgotten."""

    async def end_session(self, program: ProgramId) -> Program | None:
        """End a program; None if there is no such program. Its calls under way still settle."""

    async def sweep(self) -> Swept:
        """Settle calls whose lease ran out, expire idle programs, forget old ones and calls settled long ago; in
        bounded rounds, so that no other verb waits for long."""

    async def program(self, program: ProgramId) -> Program | None:
        """One row."""

    async def programs(
        self, *, tenant: str | None = None, active_since: float | None = None, limit: int = 1000
    ) -> Sequence[Program]:
        """Rows, those that changed last first; ``tenant`` None for all. ``active_since``: only those that changed then
        or later, where everything is a change that a verb does to a row, renewing a call's lease as much as its end."""

    async def publish(self, gateway: str, row: bytes, *, ttl_s: float) -> None:
        """Keep what a gateway says of itself, in place of what it said before; after ``ttl_s`` it is stale. With 0 it
        is forgotten at once."""

    async def published(self) -> Published:
        """What gateways said that is not stale, with the table's clock and its counts of calls."""

    async def ping(self) -> None:
        """Return if the storage can be reached and written to, else raise :class:`TableAway`."""

    async def close(self) -> None:
        """Let go of connections."""
