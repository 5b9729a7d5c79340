"""A model of one engine. It reads no clock and does no I/O: time is what its caller says it is.

The simulated engine's server runs it in real time; a discrete-event simulator runs it in virtual time.
"""

from autellix_bench.engine.blocks import Blocks, Piece
from autellix_bench.engine.costs import Costs, Load
from autellix_bench.engine.jobs import Job, Outcome, Output
from autellix_bench.engine.model import EngineModel
from autellix_bench.engine.ordering import Order, Ranked
from autellix_bench.engine.settings import EngineSettings, Preemption

__all__ = [
    "Blocks",
    "Costs",
    "EngineModel",
    "EngineSettings",
    "Job",
    "Load",
    "Order",
    "Outcome",
    "Output",
    "Piece",
    "Preemption",
    "Ranked",
]
