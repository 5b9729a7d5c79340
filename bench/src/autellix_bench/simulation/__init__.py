"""Many engines behind a gateway, in virtual time: what a system would do under a load, at the scale of a cluster.

The gateway's part runs the rules of :mod:`autellix_core` that the deployed one runs, the engines are the model of
:mod:`autellix_bench.engine`; systems to compare with are in here. Layers, upper ones may use lower ones::

    simulator             events, from the first arrival to the last answer
    systems  timelines    what is compared; who was in which batch when
    gates  rankings       queues in the gateway; orders in the engine: what is not the core's
    gateway  prompts      process table and placement; who shares a prefix with whom
    threads  runs         programs under way; what is left behind
"""

from autellix_bench.simulation.runs import Run
from autellix_bench.simulation.simulator import simulate
from autellix_bench.simulation.systems import SYSTEMS, System

__all__ = ["SYSTEMS", "Run", "System", "simulate"]
