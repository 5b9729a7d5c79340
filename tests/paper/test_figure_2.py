"""Figure 2: batch size 2, two long programs A and B, two short ones C and D, all there at time 0.

The paper gives the totals of waiting: 18 units first come first served, 18 under a multi-level feedback queue, 12
under program-aware scheduling. The lengths of the calls are ours: A and B make three calls of three units, C and D one
of one unit and one of two, and the first of two queues holds three units of service. They show both kinds of blocking:
first come first served makes the short programs wait for whole calls of the long ones, and the feedback queue puts
every new call of a long program before them again.
"""

import math

import pytest

from autellix_core.levels import Levels
from autellix_core.priority import Policy
from unit_engine import total_wait

PROGRAMS = {"A": (3, 3, 3), "B": (3, 3, 3), "C": (1, 2), "D": (1, 2)}
TWO_QUEUES = Levels(bounds_s=(3.0,), quanta_s=(3.0, math.inf))


@pytest.mark.parametrize(
    ("policy", "units"), [(Policy.FCFS, 18), (Policy.MLFQ, 18), (Policy.PLAS, 12), (Policy.ATLAS, 12)]
)
def test_total_waiting(policy: Policy, units: int) -> None:
    assert total_wait(PROGRAMS, batch=2, policy=policy, levels=TWO_QUEUES) == units
