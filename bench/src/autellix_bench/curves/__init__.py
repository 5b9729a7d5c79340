"""What points say when they are put side by side: pure functions of points, which every table and picture rests on.

scaling    how the sustained rate grows with the number of engines
gains      throughput at equal latency: one system's sustained rate over another's, at latencies common to all
sustained  latency against arrival rate, and the highest rate at which it stays below a latency
regrets    how much of the gap between FCFS and clairvoyant SRPT a policy closes
pairs      the same measure of two systems on the same workload, seed by seed
intervals  a mean or a ratio over seeds, and how far it can be trusted
"""

from autellix_bench.curves.gains import Gain, Target, best, gains, targets
from autellix_bench.curves.intervals import Interval, Spread, mean_interval, ratio_interval, spread, t_quantile
from autellix_bench.curves.pairs import paired_ratio, paired_spread
from autellix_bench.curves.regrets import Regret, regrets
from autellix_bench.curves.scaling import Scaling, scaling
from autellix_bench.curves.sustained import Bound, Curve, Measure, Sustained, curves, sustained_rate

__all__ = [
    "Bound",
    "Curve",
    "Gain",
    "Interval",
    "Measure",
    "Regret",
    "Scaling",
    "Spread",
    "Sustained",
    "Target",
    "best",
    "curves",
    "gains",
    "mean_interval",
    "paired_ratio",
    "paired_spread",
    "ratio_interval",
    "regrets",
    "scaling",
    "spread",
    "sustained_rate",
    "t_quantile",
    "targets",
]
