"""What can be set of the scheduling inside an engine.

The values travel through vLLM as ``--additional-config '{"autellix": {...}}'``, the one place of its configuration
that is the user's own and that every process of the engine sees.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any, Self

from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.priority import Policy

__all__ = ["CONFIG_KEY", "Settings"]

CONFIG_KEY = "autellix"
"""Our part of ``--additional-config``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Scheduling inside one engine; the defaults are for a GPU under load."""

    policy: Policy = Policy.ATLAS
    """For calls that name none. Under FCFS vLLM's own order is left alone."""

    levels: Levels = field(default_factory=Levels.geometric)
    """The K queues."""

    decide_every_steps: int = 1
    """N of Algorithm 1: decide at every N-th step of the engine. A new call waits up to N steps for a displacement,
    and nothing is displaced more often than that; one step costs a few microseconds of deciding."""

    most_preemptions: int = 4
    """Calls displaced by one decision at most."""

    aborted_reports: int = 1024
    """Reports of aborted calls kept for the gateway to fetch; the oldest goes first."""

    def __post_init__(self) -> None:
        for name in ("decide_every_steps", "most_preemptions", "aborted_reports"):
            if getattr(self, name) < 1:
                raise InvalidSetting(f"{name} must be at least 1, not {getattr(self, name)}.")

    def to_json(self) -> dict[str, Any]:
        """As JSON; an endless quantum is null."""
        return {
            "policy": self.policy.value,
            "bounds_s": list(self.levels.bounds_s),
            "quanta_s": [None if math.isinf(quantum) else quantum for quantum in self.levels.quanta_s],
            "beta": self.levels.beta,
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Self:
        """Read :meth:`to_json`'s shape, every part optional.

        Bounds without quanta get each level's width as its quantum. Raises :class:`InvalidSetting`.
        """
        unknown = set(given) - {"policy", "bounds_s", "quanta_s", "beta", *_NUMBERS}
        if unknown:
            raise InvalidSetting(f"The engine has no setting {', '.join(sorted(unknown))}.")
        usual = cls()
        try:
            numbers = {name: int(given.get(name, getattr(usual, name))) for name in _NUMBERS}
            policy = Policy(given.get("policy", usual.policy))
            levels = _levels(given, usual.levels)
        except (TypeError, ValueError) as error:
            if isinstance(error, InvalidSetting):
                raise
            raise InvalidSetting(f"The engine's settings cannot be read: {error}.") from error
        return cls(policy=policy, levels=levels, **numbers)

    @classmethod
    def from_config(cls, additional_config: object) -> Self:
        """Read our part of vLLM's ``additional_config``. Raises :class:`InvalidSetting`."""
        given = additional_config.get(CONFIG_KEY, {}) if isinstance(additional_config, Mapping) else {}
        if not isinstance(given, Mapping):
            raise InvalidSetting(
                f'--additional-config must hold an object under "{CONFIG_KEY}", not {json.dumps(given)}.'
            )
        return cls.from_json(given)


_NUMBERS = tuple(each.name for each in fields(Settings) if each.name not in {"policy", "levels"})


def _levels(given: Mapping[str, Any], usual: Levels) -> Levels:
    bounds = tuple(float(bound) for bound in given.get("bounds_s", usual.bounds_s))
    quanta = given.get("quanta_s")
    if quanta is None:
        edges = (0.0, *bounds, math.inf)
        quanta = [high - low for low, high in pairwise(edges)]
    beta = given.get("beta", usual.beta)
    return Levels(
        bounds_s=bounds,
        quanta_s=tuple(math.inf if quantum is None else float(quantum) for quantum in quanta),
        beta=None if beta is None else float(beta),
    )
