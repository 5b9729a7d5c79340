"""What gateways tell the operator of pools and programs, and how it asks them: paths, JSON shapes, Kubernetes names.

Any gateway answers for all gateways of its process table; the operator shows its own key (``Authorization: Bearer``).
"""

from typing import NotRequired, TypedDict

from autellix_core.wire import SessionJSON

__all__ = [
    "GROUP",
    "POOLS_PATH",
    "POOL_LABEL",
    "PROGRAMS_PATH",
    "VERSION",
    "EngineJSON",
    "NewProgramJSON",
    "PoolJSON",
    "PoolsJSON",
    "ProgramJSON",
    "ProgramsJSON",
]

GROUP = "autellix.dev"
VERSION = "v1alpha1"
"""Of the Kubernetes objects ``ProgramSession`` and ``EnginePool``."""

POOL_LABEL = "autellix.dev/pool"
"""On an engine's pod, its Service and therefore its EndpointSlices: the name of its EnginePool."""

POOLS_PATH = "/autellix/pools"
"""``GET``: :class:`PoolsJSON`."""

PROGRAMS_PATH = "/autellix/programs"
"""``GET ?active_since=SECONDS&limit=N``: :class:`ProgramsJSON`, the latest activity first; ``POST`` a
:class:`NewProgramJSON` opens a program, or finds the one of that id, and answers with its :class:`ProgramJSON` and a
token; ``GET`` and ``DELETE`` of ``/autellix/programs/{id}`` show one and end it, its calls with it."""


class EngineJSON(TypedDict):
    """One engine as all gateways together know it."""

    id: str
    ready: bool
    """At least one gateway reaches it."""
    draining: bool
    calls: int
    """In the engine, running and queued, of all gateways."""
    slots: int
    """Calls that its batch holds; 0 where it does not say."""
    wait_seconds: float
    """Mean queue time of the calls that ended there within the last minute."""
    programs: int
    """Programs that were active lately and whose home it is."""
    cached_tokens: int
    """Prompt and output tokens of those: at most what other engines compute again if it goes."""


class PoolJSON(TypedDict):
    """One pool. An engine outside Kubernetes is in the pool ``""``."""

    name: str
    model: str
    held: int
    """Calls that wait in gateways since no engine takes them."""
    longest_held_seconds: float
    active: int
    """Programs with a call under way, held ones included."""
    returning: int
    """Programs between two calls whose last one ended not long ago."""
    engines: list[EngineJSON]


class PoolsJSON(TypedDict):
    """The demand on every pool."""

    at: float
    """The table's clock, in seconds since the epoch."""
    gateways: int
    """How many spoke lately."""
    shared: bool
    """False while Redis is away: then this is what one gateway knows, and nothing to scale by."""
    pools: list[PoolJSON]


class ProgramJSON(SessionJSON):
    """A program as the operator sees it."""

    pool: str
    """Of its last call; "" where none is known."""
    mirror: bool
    """Its client asked for a ProgramSession object."""


class ProgramsJSON(TypedDict):
    """A page of programs."""

    at: float
    """The table's clock; what changed after it comes with ``active_since=at`` the next time."""
    shared: bool
    programs: list[ProgramJSON]
    more: bool
    """The limit cut the list off."""


class NewProgramJSON(TypedDict):
    """The body of ``POST /autellix/programs``."""

    id: str
    tenant: str
    model: str
    mirror: NotRequired[bool]
