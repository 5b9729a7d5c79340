"""Queues in the gateway: what holds calls back before they reach an engine, in front of engines that know no programs.

A gate sees what a gateway sees: calls as they come, answers and their tokens, and how many calls are inside.
"""

from autellix_bench.simulation.gates.attained import LeastAttained
from autellix_bench.simulation.gates.gate import Gate, Pool
from autellix_bench.simulation.gates.recent import RecentFirst
from autellix_bench.simulation.gates.working_sets import WorkingSets

__all__ = ["Gate", "LeastAttained", "Pool", "RecentFirst", "WorkingSets"]
