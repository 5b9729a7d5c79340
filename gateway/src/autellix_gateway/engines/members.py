"""What the gateway is told of its engines: which there are, in which pools. Where from is not said here."""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from autellix_core.program import EngineId

__all__ = ["Member", "Pool", "static_members"]


@dataclass(frozen=True, slots=True)
class Member:
    """One engine by its name and base URL. The same name at another URL is another engine."""

    id: EngineId
    url: str
    pool: str = ""
    """Name of its pool; "" outside Kubernetes."""
    accepts: bool = True
    """New calls may go there. False while it starts, and from when it was told to end."""
    draining: bool = False
    """It is to end once its programs are done with it."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Engines of one model that are scaled together; there may be none of them."""

    name: str
    model: str
    most_held: int
    """How many calls a gateway holds for it while no engine takes them; 0: it holds none."""
    hold_s: float
    """How long each of those waits at most."""


def static_members(urls: Sequence[str]) -> tuple[Member, ...]:
    """A list of base URLs as engines, each named by its host and port."""
    return tuple(Member(EngineId(urlsplit(url).netloc), url) for url in urls)
