"""Redis, engines and a gateway on this machine, started and ended as one (`autellix up`, `autellix demo`)."""

from autellix.stack.plan import EngineProcesses, Plan
from autellix.stack.progress import PartProgress, Stage, Watch
from autellix.stack.running import Stack

__all__ = ["EngineProcesses", "PartProgress", "Plan", "Stack", "Stage", "Watch"]
