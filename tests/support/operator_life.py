"""A cluster, a gateway and one operator after another on them, in a time that passes only when it is told to."""

from typing import Any

from autellix_operator.app import build
from autellix_operator.cluster import PROGRAM_SESSION
from autellix_operator.metrics import Metrics
from autellix_operator.objects import program_of
from autellix_operator.operating import Operating
from autellix_operator.settings import Settings
from operator_cluster import Calls, Died, MemoryCluster
from operator_gateway import ScriptedGateway

__all__ = ["World", "condition", "session"]


def session(name: str = "s", **spec: Any) -> dict[str, Any]:
    """A ProgramSession as a user makes it."""
    return {
        "apiVersion": PROGRAM_SESSION.api_version,
        "kind": PROGRAM_SESSION.kind,
        "metadata": {"namespace": "default", "name": name},
        "spec": {"model": "tiny", **spec},
    }


def condition(made: dict[str, Any], name: str) -> tuple[str, str]:
    """Status and reason of a condition."""
    found = next(each for each in made["status"]["conditions"] if each["type"] == name)
    return found["status"], found["reason"]


class World:
    """All of it. ``operator`` is the one that lives; ``reborn`` starts another that knows nothing."""

    def __init__(self, **settings: Any) -> None:
        self.time_s = 1_700_000_000.0
        self.cluster = MemoryCluster(now=lambda: self.time_s)
        self.gateway = ScriptedGateway(now=lambda: self.time_s)
        self.metrics = Metrics()
        self.leads = True
        self.settings = Settings(own_namespace="default", writes_per_s=1e9, **settings)
        self.operator = self.reborn()

    def reborn(self, *, die_at: int | None = None, after: bool = False) -> Operating:
        """A new operator, whose life ends at its n-th call to cluster or gateway."""
        self.calls = self.cluster.calls = self.gateway.calls = Calls(die_at=die_at, after=after)
        self.operator = build(
            self.settings,
            cluster=self.cluster,
            gateway=self.gateway,
            metrics=self.metrics,
            leads=lambda: self.leads,
            clock=lambda: self.time_s,
            now=lambda: self.time_s,
        )
        self.cluster.changed = [self.operator.seen]
        return self.operator

    def create(self, body: dict[str, Any]) -> str:
        """A user makes a ProgramSession; its program's id."""
        return program_of(self.cluster.create(body))

    def see(self, name: str = "s") -> dict[str, Any]:
        """The ProgramSession."""
        return self.cluster.see(PROGRAM_SESSION, name)

    async def pass_time(self, seconds: float = 0.0, *, step_s: float = 1.0) -> None:
        """Let the operator work for so long, looking at everything once at least."""
        await self.operator.resync()
        end = self.time_s + seconds
        while True:
            await self.operator.poll()
            await self.operator.settle()
            if self.time_s >= end:
                return
            self.time_s = min(self.time_s + step_s, end)

    async def lives(self, seconds: float, *, die_at: int, after: bool) -> bool:
        """Begin a life that ends at its n-th call; whether it came to that before the time was over."""
        self.reborn(die_at=die_at, after=after)
        try:
            await self.pass_time(seconds)
        except Died:
            return True
        return False
