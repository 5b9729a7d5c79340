"""Ours beside each of the others, on the same machine, engines and arrivals, in one run.

A repetition sends the same programs to every system, one system at a time, in an order that is another in every
repetition. Each run has a salt of its own in all prompts: no run finds another's prefixes in a cache. A system is
started just before its run and ended after it, so that nothing but it, the engines and the driver runs on the machine;
the engines stay up, and are idle again before the next run.

With one engine of each kind (the default), the stock one and the one with the adapter are both up all the time, and
every repetition has all systems within the same minutes; the engine that is not measured is idle. Two of each kind
would be four servers, which a small machine does not bear; so with two, pairs alternate: a repetition has a phase of
the stock engines and one of those with the adapter, in an order that is turned around each time, so that a pair is
started once for two phases. ::

    runs      the whole comparison: what is started when, and a point a run
    plans     which system runs when
    systems   the systems: one in front, and which engines behind it
    loads     what engines say of themselves: whether they are idle, how much was cached
    ratios    the others over ours, by repetition, with median and spread
"""

from autellix_bench.comparison.plans import Phase, Run, arranged, phases
from autellix_bench.comparison.ratios import Ratio, excluded, ratios, table
from autellix_bench.comparison.runs import Drive, Drives, Result, compare
from autellix_bench.comparison.systems import OURS, SYSTEMS, System

__all__ = [
    "OURS",
    "SYSTEMS",
    "Drive",
    "Drives",
    "Phase",
    "Ratio",
    "Result",
    "Run",
    "System",
    "arranged",
    "compare",
    "excluded",
    "phases",
    "ratios",
    "table",
]
