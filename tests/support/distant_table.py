"""A process table that can be away."""

from collections.abc import Awaitable, Callable
from typing import Any

from autellix_gateway.table.memory import MemoryTable
from autellix_gateway.table.protocol import TableAway

__all__ = ["DistantTable"]


class DistantTable:
    """Has the verbs of ``table``, which may be exchanged. ``tried`` counts them."""

    def __init__(self, table: MemoryTable) -> None:
        self.table = table
        self.tried = 0
        self._away: str | None = None

    def leave(self, *, unheard: bool = False) -> None:
        """From now on verbs fail; with ``unheard`` the next one is done all the same, and its answer lost."""
        self._away = "unheard" if unheard else "away"

    def come_back(self) -> None:
        """Verbs work again."""
        self._away = None

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        async def ask(*arguments: Any, **named: Any) -> Any:
            self.tried += 1
            if self._away == "away":
                raise TableAway("It is away.")
            answer = await getattr(self.table, verb)(*arguments, **named)
            if self._away == "unheard":
                self._away = "away"
                raise TableAway("It went away.")
            return answer

        return ask
