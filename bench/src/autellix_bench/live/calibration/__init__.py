"""The engine model's costs, fitted to an engine behind a URL: measured stretches of iterations, and a straight line.

::

    measuring  a few calls of chosen lengths and numbers, alone on the engine
"""

from autellix_bench.engine.fitting import Fit, Sample, fitted
from autellix_bench.live.calibration.measuring import Plan, measured

__all__ = ["Fit", "Plan", "Sample", "fitted", "measured"]
