"""Adapters that are wrong on purpose, to see that the walk's checks notice.

Each is the real adapter with one thing of putting a call back left out or done in the wrong order.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from autellix_engine.ledger import Ledger
from autellix_engine.scheduler import ProgramScheduling

__all__ = ["MUTATIONS", "mutated"]

_right = ProgramScheduling._put_back


def _resumed_too_early(self: Any, victim: Any, parked: list[Any]) -> None:
    """What is still under way for the victim is not waited for: it resumes, and then gets that token as well."""
    _right(self, victim, parked)
    victim.num_stale_output_tokens = 0


def _put_back_twice(self: Any, victim: Any, parked: list[Any]) -> None:
    """The victim is set aside for this step, but stays in vLLM's queue too."""
    _right(self, victim, parked)
    self.waiting.add_request(victim)


def _lost(self: Any, victim: Any, parked: list[Any]) -> None:
    """The victim is set aside and never put into the queue again."""
    _right(self, victim, [])


def _still_in_the_batch(self: Any, victim: Any, parked: list[Any]) -> None:
    """vLLM is told of the preemption while the victim is still among those that run."""
    self._preempt_request(victim, time.monotonic())
    self.waiting.remove_request(victim)
    parked.append(victim)


def _keeps_its_blocks(self: Any, victim: Any, parked: list[Any]) -> None:
    """The victim waits as a new request would, but its KV blocks are not given back."""
    from vllm.v1.request import RequestStatus

    self.running.remove(victim)
    self._ledger.preempted(victim.request_id, self._cause, computed_tokens=0, now=self._clock())
    victim.status, victim.num_computed_tokens = RequestStatus.PREEMPTED, 0
    victim.num_stale_output_tokens, victim.num_output_placeholders = victim.num_in_flight_tokens, 0
    parked.append(victim)


def _trusts_freed_blocks(self: Any, victim: Any, parked: list[Any]) -> None:
    """The victim goes on where it stopped, though the KV blocks that held its past are gone."""
    computed = victim.num_computed_tokens
    _right(self, victim, parked)
    victim.num_computed_tokens = computed


def _unaccounted(self: Any, victim: Any, parked: list[Any]) -> None:
    """The ledger does not hear of the preemption: the wait counts as service."""
    with patch.object(Ledger, "preempted"):
        _right(self, victim, parked)


MUTATIONS = {
    wrong.__name__.strip("_"): wrong
    for wrong in (
        _resumed_too_early,
        _put_back_twice,
        _lost,
        _still_in_the_batch,
        _keeps_its_blocks,
        _trusts_freed_blocks,
        _unaccounted,
    )
}


@contextmanager
def mutated(name: str) -> Iterator[None]:
    """The adapter with this mutation."""
    with patch.object(ProgramScheduling, "_put_back", MUTATIONS[name]):
        yield
