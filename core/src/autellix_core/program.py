"""Programs and their calls: the rows of the process table and every change a row can go through.

A program is a growing DAG of LLM calls; a *thread* is one of its active calls (section 4.1). A row holds what the
paper's process table holds, and totals. The transitions return a new row; those that concern one call take its
*fence* as well, a number given once at arrival, so that a second settling of the same call changes nothing
whoever sends it: complete, abort and sweep all go through :func:`settle`.

The Redis scripts of the gateway hold these same transitions, because only there are they atomic; one random walk
drives both and they must agree.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import NewType

from autellix_core import priority

__all__ = [
    "Call",
    "CallId",
    "EngineId",
    "Measured",
    "Program",
    "ProgramId",
    "State",
    "arrive",
    "dispatch",
    "end",
    "expire",
    "renew",
    "settle",
    "state",
    "sweep",
]

ProgramId = NewType("ProgramId", str)
CallId = NewType("CallId", str)
EngineId = NewType("EngineId", str)


class State(StrEnum):
    """What a program is doing, as its session shows it."""

    ACTIVE = "active"
    """It has at least one call under way."""
    IDLE = "idle"
    """It has none: a tool or a person has it."""
    ENDED = "ended"
    """Its client ended it; no further call is taken."""
    EXPIRED = "expired"
    """It neither sent nor finished a call for the session's time to live; a further call reopens it."""


@dataclass(frozen=True, slots=True)
class Call:
    """One active call (a thread of the paper's process table). Times are seconds; stamps are the table's clock."""

    id: CallId
    fence: int
    arrived_at: float
    inherited_s: float
    """The program's critical path when this call arrived (section 4.2)."""
    lease_until: float
    """Unless renewed by then, the call is swept: its gateway is taken to be gone."""
    engine: EngineId | None = None
    wait_s: float = 0.0
    """Time in the engine's queues so far, as last renewed."""
    service_s: float = 0.0
    """Time in the engine's batch so far, as last renewed."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What one call turned out to cost: seconds in the engine's batch and queues, and its tokens."""

    service_s: float = 0.0
    wait_s: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Program:
    """One row of the process table. Times are seconds; stamps are the table's clock."""

    id: ProgramId
    tenant: str
    model: str
    created_at: float
    single_call: bool = False
    """It is the program of one call whose client named none: its row goes when the call does."""
    mirror: bool = False
    """Its client asked for an object of it in Kubernetes."""
    critical_path_s: float = 0.0
    """The longest path of engine time seen so far (ATLAS's scalar)."""
    service_s: float = 0.0
    """Engine time of all settled calls (PLAS's scalar, and T of anti-starvation)."""
    wait_s: float = 0.0
    """Time that all settled calls spent in engine queues (W of anti-starvation)."""
    calls: int = 0
    prompt_tokens: int = 0
    output_tokens: int = 0
    home: EngineId | None = None
    """The engine that holds the program's KV cache (Algorithm 2)."""
    engines: tuple[EngineId, ...] = ()
    """Every engine that ran a call of it, in the order of first use."""
    threads: Mapping[CallId, Call] = field(default_factory=lambda: MappingProxyType({}))
    last_arrival_at: float | None = None
    last_completion_at: float | None = None
    ended_at: float | None = None
    expired_at: float | None = None

    @property
    def last_activity_at(self) -> float:
        """The start, the last arrival or the last completion: what staleness is counted from."""
        return max(self.created_at, self.last_arrival_at or 0.0, self.last_completion_at or 0.0)


def state(program: Program) -> State:
    """What the program is doing. A call under way counts before an end: it is being wound up."""
    if program.threads:
        return State.ACTIVE
    if program.ended_at is not None:
        return State.ENDED
    return State.IDLE if program.expired_at is None else State.EXPIRED


def arrive(program: Program, call: CallId, *, fence: int, now: float, lease_s: float) -> tuple[Program, Call]:
    """Register a call. It inherits the critical path as it is *now*, so parallel siblings are equals.

    Arriving a second time with an id that is already a thread returns that thread unchanged: a gateway that did
    not hear the answer may ask again. An expired program is reopened; an ended one must be refused by the caller.
    """
    known = program.threads.get(call)
    if known is not None:
        return program, known
    thread = Call(id=call, fence=fence, arrived_at=now, inherited_s=program.critical_path_s, lease_until=now + lease_s)
    arrived = replace(
        program,
        calls=program.calls + 1,
        threads=MappingProxyType({**program.threads, call: thread}),
        last_arrival_at=now,
        expired_at=None,
    )
    return arrived, thread


def dispatch(program: Program, call: CallId, *, fence: int, engine: EngineId, home: bool) -> Program:
    """Record that a call went to an engine, which becomes the program's home if placement said so."""
    thread = _thread(program, call, fence)
    if thread is None:
        return program
    return replace(
        program,
        home=engine if home else program.home,
        engines=program.engines if engine in program.engines else (*program.engines, engine),
        threads=_with(program, replace(thread, engine=engine)),
    )


def renew(
    program: Program, call: CallId, *, fence: int, lease_until: float, wait_s: float, service_s: float
) -> Program:
    """Prolong a call's lease and note what it has cost so far."""
    thread = _thread(program, call, fence)
    if thread is None:
        return program
    renewed = replace(thread, lease_until=lease_until, wait_s=wait_s, service_s=service_s)
    return replace(program, threads=_with(program, renewed))


def settle(
    program: Program, call: CallId, measured: Measured, *, fence: int, now: float, completed: bool
) -> tuple[Program, bool]:
    """Take a call out of the threads and fold what it cost into the program, exactly once.

    ``completed`` is false for an aborted or swept call: its service counts all the same, since the engine gave
    it, but it is no completion. Returns the row and whether anything was settled; a call that is not a thread
    with this fence was settled before, and nothing changes.
    """
    thread = _thread(program, call, fence)
    if thread is None:
        return program, False
    settled = replace(
        program,
        critical_path_s=priority.settled(program.critical_path_s, thread.inherited_s, measured.service_s),
        service_s=program.service_s + measured.service_s,
        wait_s=program.wait_s + measured.wait_s,
        prompt_tokens=program.prompt_tokens + measured.prompt_tokens,
        output_tokens=program.output_tokens + measured.output_tokens,
        threads=MappingProxyType({key: value for key, value in program.threads.items() if key != call}),
        last_completion_at=now if completed else program.last_completion_at,
    )
    return settled, True


def sweep(program: Program, call: CallId, *, fence: int, now: float) -> tuple[Program, bool]:
    """Settle a call whose lease ran out, with what it had cost when its gateway was last heard of."""
    thread = _thread(program, call, fence)
    if thread is None:
        return program, False
    so_far = Measured(service_s=thread.service_s, wait_s=thread.wait_s)
    return settle(program, call, so_far, fence=fence, now=now, completed=False)


def end(program: Program, *, now: float) -> Program:
    """The client says that the program is over. Ending it again changes nothing."""
    return program if program.ended_at is not None else replace(program, ended_at=now)


def expire(program: Program, *, now: float) -> Program:
    """The program did nothing for the session's time to live. One with calls under way, or ended, stays."""
    if program.threads or program.ended_at is not None or program.expired_at is not None:
        return program
    return replace(program, expired_at=now)


def _thread(program: Program, call: CallId, fence: int) -> Call | None:
    thread = program.threads.get(call)
    return thread if thread is not None and thread.fence == fence else None


def _with(program: Program, thread: Call) -> Mapping[CallId, Call]:
    return MappingProxyType({**program.threads, thread.id: thread})
