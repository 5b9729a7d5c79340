"""What one gateway says of itself: the row that it keeps in the process table for all others to read."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from autellix_core.program import EngineId

__all__ = ["EngineRow", "GatewayRow"]


@dataclass(frozen=True, slots=True)
class EngineRow:
    """An engine as one gateway knows it."""

    id: EngineId
    pool: str
    models: tuple[str, ...] = ()
    up: bool = False
    draining: bool = False
    slots: int = 0
    """Calls that its batch holds; 0 where it does not say."""
    waited_s: float = 0.0
    """Queue time of the calls of this gateway that ended there within the last minute, in all."""
    waited_calls: int = 0
    """How many calls those were."""


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """A gateway at one instant."""

    engines: tuple[EngineRow, ...] = ()
    held: Mapping[str, tuple[int, float]] = field(default_factory=dict)
    """By pool: calls that wait in this gateway, and how long the first of them has, in seconds."""
    pools: Mapping[str, str] = field(default_factory=dict)
    """Model by pool, those without an engine included."""

    def to_bytes(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, row: bytes) -> "GatewayRow | None":
        """Read a row; None for one that a gateway of another version wrote in another shape."""
        try:
            given = json.loads(row)
            return cls(
                engines=tuple(
                    EngineRow(**{**engine, "models": tuple(engine["models"])}) for engine in given["engines"]
                ),
                held={str(pool): (int(calls), float(longest_s)) for pool, (calls, longest_s) in given["held"].items()},
                pools={str(pool): str(model) for pool, model in given["pools"].items()},
            )
        except (ValueError, TypeError, LookupError, AttributeError):
            return None
