"""Scenarios: simulated runs as data, and in which ranges what they come to is accepted.

They guard the rules: virtual time is the same on every machine, so a value that has left its range tells that a rule, a
cost or a workload has changed. Ranges hold what was measured, also where that is worse than another system. A file::

    about: what it asks
    workload: sharegpt              # or  replay: a file of programs beside this one (autellix_bench.replay)
    programs: 120                   # of a workload
    rate: 1.0                       # programs a second; 0: all there at once. Of a workload
    seeds: [1, 2, 3, 4, 5]          # a replay has one run, unless it is told otherwise
    profile: a100-llama-3.1-8b      # optional, this one unless given
    engine: {slots: 16}             # optional: what of the profile's engine is another, its costs and levels too
    engines: 1                      # optional
    systems: [vllm-opt, atlas, {name: eager, system: atlas, beta: 1}]
    expect:
      - ratio: {statistic: mean, over: vllm-opt, under: atlas, at_least: 1.05, at_most: 1.2}
        because: where the range is from
      - value: {statistic: preemptions, of: atlas, at_most: 200}
        because: the same
      - equal: [plas, atlas]        # each call's record, to the byte
        because: why they must be

A ratio is taken by seed, and the mean over seeds is held against the range; so is a value's. ::

    running       all runs over processes, and what each scenario comes to
    reading       a file, strictly: what it does not know is a mistake
    scenarios     a scenario and its runs
    expectations  ranges and equality
    measured      what is measured of a run
    fields        a mapping whose keys are all accounted for
"""

from autellix_bench.scenarios.expectations import Outcome
from autellix_bench.scenarios.reading import read
from autellix_bench.scenarios.running import checked
from autellix_bench.scenarios.scenarios import Scenario

__all__ = ["Outcome", "Scenario", "checked", "read"]
