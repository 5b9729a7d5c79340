"""Calls that are made to fail, so that what calls an engine can be tested without breaking one."""

import random

from autellix_bench.server.knobs import FailureKind, Knobs

__all__ = ["Failures"]


class Failures:
    """Chooses, by seed, the calls that fail."""

    def __init__(self, knobs: Knobs) -> None:
        self._rate, self._kind = knobs.failure_rate, knobs.failure_kind
        self._chance = random.Random(knobs.seed)  # noqa: S311 - repeatable, not secret
        self.made: dict[FailureKind, int] = dict.fromkeys(FailureKind, 0)

    def draw(self) -> FailureKind | None:
        """What happens to the next call, if anything."""
        if self._chance.random() >= self._rate:
            return None
        self.made[self._kind] += 1
        return self._kind
