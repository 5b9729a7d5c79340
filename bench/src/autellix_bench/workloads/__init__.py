"""Loads of agent programs, drawn from published statistics: what simulator and live driver run::

    from autellix_bench.workloads import generate, statistics

    for program in generate("lats", rate=0.5, programs=1000, seed=1): ...

generation            names, arrivals, ids
sharegpt, bfcl, lats  the workloads of the paper's Figure 11; the module says what is published and what is ours
agentic               coding agents of 2026
threads               a thread of calls whose history grows
lengths               long-tailed lengths and times with a given mean or median
scaling               the same programs for a smaller model
measured              what was drawn, to hold against what was published

*What "prefill tokens a call" means.* The paper gives a mean of 256 for ShareGPT, whose answers have 277. Were that
the whole prompt, then, with 6.66 calls a program and a history that grows, the answers alone would make it three
times as long. So it is what a call adds: the tokens of its prompt that no call it waits for had in its prompt or its
answer at that place. That is what an engine that holds the program's cache computes, and what a prompt grows by; a
program's system prompt counts once, in its first call. :func:`statistics` measures it so, for each workload alike.
"""

from autellix_bench.workloads.generation import WORKLOADS, generate
from autellix_bench.workloads.measured import Spread, Statistics, statistics
from autellix_bench.workloads.scaling import scaled

__all__ = ["WORKLOADS", "Spread", "Statistics", "generate", "scaled", "statistics"]
