"""Which service a call enters the queues with: PLAS and ATLAS, and the policies to compare them with.

A larger value is a lower priority. The process table keeps both sums of a program whatever the policy: its total
engine time, which is PLAS's scalar, and its longest path, which is ATLAS's. So a policy is a choice at arrival,
and changing it needs no change of state.
"""

from enum import StrEnum

__all__ = ["Policy", "entry_service", "settled"]


class Policy(StrEnum):
    """How calls are ordered inside an engine."""

    ATLAS = "atlas"
    """Any DAG: by the longest critical path of the program seen so far (section 4.2)."""
    PLAS = "plas"
    """Single-threaded programs: by the program's cumulative service (section 4.2)."""
    MLFQ = "mlfq"
    """Each call for itself: every call starts in the best queue. For comparison."""
    FCFS = "fcfs"
    """Order of arrival, no quantum, no preemption: the engine's own order. For comparison."""


def entry_service(policy: Policy, *, critical_path_s: float, service_s: float) -> float:
    """The service in seconds that decides a new call's queue.

    PLAS: ``p(c_j) = sum of t_k`` over the program's earlier calls. ATLAS: ``p(c) = max(p(k) + t_k)`` over the
    parents ``k``, kept as one scalar a program. MLFQ and FCFS know no programs: zero.
    """
    if policy is Policy.ATLAS:
        return critical_path_s
    return service_s if policy is Policy.PLAS else 0.0


def settled(critical_path_s: float, inherited_s: float, model_time_s: float) -> float:
    """A program's critical path after a call that inherited ``inherited_s`` and ran for ``model_time_s``.

    ``scalar = max(scalar, inherited + model_time)`` (section 4.2): no dependency is tracked, and where calls never
    overlap this is the plain sum.
    """
    return max(critical_path_s, inherited_s + model_time_s)
