"""What a simulated run leaves behind."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from autellix_bench.records import CallRecord
from autellix_bench.timeline import Stretch

__all__ = ["Run"]


@dataclass(frozen=True, slots=True)
class Run:
    """Every call of every program, in the order in which they ended.

    ``counters`` of all engines together: ``preemptions``, ``recomputed_tokens``, ``swapped_tokens``,
    ``prompt_tokens``, ``cached_tokens``, ``cached_share`` of the prompt tokens, ``output_tokens``, ``iterations``,
    ``decisions`` (times that a batch was looked over for someone to displace), ``peak_calls`` (under way at once) and
    ``peak_waiting`` (held in the gateway at once).
    """

    calls: list[CallRecord]
    counters: Mapping[str, float]
    stretches: list[Stretch] = field(default_factory=list)
    """When each call was in a batch, if asked for."""
