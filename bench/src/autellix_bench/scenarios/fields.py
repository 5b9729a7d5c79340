"""A mapping read key by key: each has a type, and a key that nobody asked for is a mistake."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

__all__ = ["Fields"]

T = TypeVar("T")


class Fields:
    """Takes what it is asked for; :meth:`end` refuses the rest. Errors are ValueErrors that name place and key."""

    def __init__(self, given: object, where: str) -> None:
        if not isinstance(given, Mapping):
            raise ValueError(f"{where} must be a mapping, not {given!r}.")
        self.where = where
        self._left = dict(given)
        self._asked: list[str] = []

    def __contains__(self, name: str) -> bool:
        self._asked.append(name)
        return name in self._left

    def text(self, name: str, default: str | None = None) -> str:
        """A text that is not empty."""
        return self._one(name, str, "a text", default)

    def number(self, name: str, default: float | None = None) -> float:
        """A finite number."""
        value = self._one(name, (int, float), "a number", default)
        if not math.isfinite(value):
            raise ValueError(f"{self.where}: {name} must be finite, not {value}.")
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        value = self._one(name, int, "a whole number", default)
        if value < 1:
            raise ValueError(f"{self.where}: {name} must be at least 1, not {value}.")
        return value

    def items(self, name: str, default: Sequence[object] | None = None) -> Sequence[object]:
        """A list that is not empty."""
        found: Sequence[object] = self._one(name, list, "a list", None if default is None else list(default))
        if not found:
            raise ValueError(f"{self.where}: {name} has nothing in it.")
        return found

    def mapping(self, name: str) -> Fields:
        """One below; an empty one if there is none."""
        self._asked.append(name)
        return Fields(self._left.pop(name, {}), f"{self.where}: {name}")

    def numbers(self) -> dict[str, float]:
        """All that is left, which must be numbers; they may be infinite."""
        return {str(name): self._one(name, (int, float), "a number", None) for name in list(self._left)}

    def end(self) -> None:
        """:raises ValueError: if something is left."""
        for name in self._left:
            raise ValueError(f"{self.where}: nothing is called {name!r} here; there is {', '.join(self._asked)}.")

    def _one(self, name: str, kind: type[T] | tuple[type[T], ...], what: str, default: T | None) -> T:
        self._asked.append(name)
        value = self._left.pop(name, default)
        if value is None:
            raise ValueError(f"{self.where}: {name} is missing.")
        if isinstance(value, bool) or not isinstance(value, kind) or value == "":
            raise ValueError(f"{self.where}: {name} must be {what}, not {value!r}.")
        return value
