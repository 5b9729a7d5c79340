"""The costs under which the engine model takes the times that were measured: least squares, none below zero."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from autellix_bench.engine.costs import Costs

__all__ = ["Fit", "Sample", "fitted"]

_COSTS = ("step_s", "prefill_s", "prefill_token_s", "decode_s", "context_token_s", "swap_token_s")
_LEAST_STEP_S = 1e-6
"""An iteration takes time; where the measurements tell of none beside what is in it, it is this."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A stretch of an engine's iterations: what they computed together, and how long they took."""

    seconds: float
    steps: float = 1.0
    prefills_begun: float = 0.0
    prefill_tokens: float = 0.0
    decodes: float = 0.0
    context_tokens: float = 0.0
    swapped_tokens: float = 0.0
    """What :class:`~autellix_bench.engine.costs.Load` counts, summed over the iterations."""

    @property
    def terms(self) -> tuple[float, ...]:
        """What each of the fitted costs is multiplied by."""
        return (
            *(self.steps, self.prefills_begun, self.prefill_tokens),
            *(self.decodes, self.context_tokens, self.swapped_tokens),
        )


@dataclass(frozen=True, slots=True)
class Fit:
    """Costs, and how well they tell the times that they were fitted to."""

    costs: Costs
    samples: int
    mean_error: float
    """The mean distance of a time told from the time measured, as a share of the latter."""
    worst_error: float

    def sentence(self) -> str:
        """How good it is."""
        return (
            f"Over {self.samples} measurements the fitted costs are {self.mean_error:.1%} off in the mean and "
            f"{self.worst_error:.1%} at worst."
        )

    def to_json(self, *, name: str) -> str:
        """As data for a profile of this name."""
        error = {"samples": self.samples, "mean": self.mean_error, "worst": self.worst_error}
        return json.dumps({"name": name, "costs": asdict(self.costs), "error": error}, indent=2)


def fitted(samples: Sequence[Sample]) -> Fit:
    """The costs whose relative errors have the least sum of squares.

    :raises ValueError: if the samples are too few or too much alike to tell the costs apart.
    """
    times = np.array([sample.seconds for sample in samples])
    if len(samples) == 0 or not (times > 0).all():
        raise ValueError("Costs are fitted to at least one sample, each of a time above zero.")
    terms = np.array([sample.terms for sample in samples]) / times[:, None]
    present = [index for index in range(terms.shape[1]) if terms[:, index].any()]
    if np.linalg.matrix_rank(terms[:, present] / terms[:, present].max(axis=0)) < len(present):
        raise ValueError(
            "The samples are too few or too much alike to tell the costs apart; measure more batch sizes, contexts "
            "and prompt lengths."
        )
    found = min(_candidates(terms, present), key=lambda each: float(np.sum((terms @ each - 1) ** 2)))
    found[0] = max(found[0], _LEAST_STEP_S)
    costs = Costs(**dict(zip(_COSTS, found.tolist(), strict=True)))
    errors = np.abs(terms @ found - 1)
    return Fit(costs, len(samples), float(errors.mean()), float(errors.max()))


def _candidates(terms: NDArray[np.float64], present: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    """The least squares of each set of costs, the others zero, where none is negative: the best is among them.

    At the least squares without negative costs some are zero, and the others are where they would be without that
    condition. Six costs make 64 sets, so each is looked at.
    """
    ones = np.ones(len(terms))
    for count in range(len(present) + 1):
        for chosen in combinations(present, count):
            costs = np.zeros(terms.shape[1])
            if chosen:
                part = terms[:, chosen]
                scale = part.max(axis=0)  # seconds a step and seconds a token are orders of magnitude apart
                costs[list(chosen)] = np.linalg.lstsq(part / scale, ones, rcond=None)[0] / scale
            if (costs >= 0).all():
                yield costs
