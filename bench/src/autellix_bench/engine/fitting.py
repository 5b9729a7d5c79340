"""Costs of an engine from measured iterations."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from autellix_bench.engine.costs import Costs, Load
from autellix_core.errors import InvalidSetting

__all__ = ["Sample", "fitted"]

_TERMS: Mapping[str, Callable[[Load], int]] = {
    "step_s": lambda _: 1,
    "prefill_s": lambda load: load.prefills_begun,
    "prefill_token_s": lambda load: load.prefill_tokens,
    "decode_s": lambda load: load.decodes,
    "context_token_s": lambda load: load.context_tokens,
    "swap_token_s": lambda load: load.swapped_tokens,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """One iteration of a real engine: what was in it, and how long it took."""

    load: Load
    seconds: float


def fitted(samples: Sequence[Sample]) -> Costs:
    """The costs that explain the samples best, none of them negative.

    Least squares of the relative errors, so that an iteration of 2 ms counts like one of 200 ms. With six terms every
    subset of them can be solved outright, and the best without a negative one is the answer: exact, with nothing that
    must converge. A term that no sample has is 0.

    Raises :class:`InvalidSetting` where no iteration time is above 0 or none would be left as the cost of a step.
    """
    if not samples or any(not sample.seconds > 0 for sample in samples):
        raise InvalidSetting("Costs are fitted to iterations that took time; measure some.")
    weights = np.array([1.0 / sample.seconds for sample in samples])
    columns = {name: np.array([float(of(sample.load)) for sample in samples]) * weights for name, of in _TERMS.items()}
    others = [name for name, column in columns.items() if name != "step_s" and column.any()]
    best: dict[str, float] = {}
    least = float("inf")
    for count in range(len(others) + 1):
        for subset in combinations(others, count):
            names = ("step_s", *subset)
            found, error = _least_squares([columns[name] for name in names])
            if found[0] > 0 and min(found) >= 0 and error < least * (1 - 1e-9):
                best, least = dict(zip(names, found, strict=True)), error
    if not best:
        raise InvalidSetting("No cost of a step above 0 fits these samples; measure iterations with less in them, too.")
    return Costs(**best)


def _least_squares(columns: Sequence[np.ndarray]) -> tuple[list[float], float]:
    """Factors of the columns whose sum is nearest to 1 everywhere, and the squared error."""
    scales = [float(np.linalg.norm(column)) for column in columns]
    matrix = np.stack([column / scale for column, scale in zip(columns, scales, strict=True)], axis=1)
    factors = np.linalg.lstsq(matrix, np.ones(len(matrix)), rcond=None)[0]
    error = float(np.square(matrix @ factors - 1.0).sum())
    return [float(factor) / scale for factor, scale in zip(factors, scales, strict=True)], error
