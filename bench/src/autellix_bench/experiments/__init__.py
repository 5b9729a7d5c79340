"""The simulated half of the evaluation: which runs answer which question, and what each comes to.

::

    running    tasks, or whatever else is simulated, over processes, in the order of the plan
    plans      the tasks of each experiment
    overhead   what a decision costs
    tasks      one run of the simulator as a point
"""

from autellix_bench.experiments.plans import EXPERIMENTS, SEEDS, timelines
from autellix_bench.experiments.running import each, run
from autellix_bench.experiments.tasks import Task

__all__ = ["EXPERIMENTS", "SEEDS", "Task", "each", "run", "timelines"]
