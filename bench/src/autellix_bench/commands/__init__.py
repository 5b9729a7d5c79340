"""The commands of ``python -m autellix_bench``, a module each: what it is, its arguments, and running it.

::

    engine_sim    an engine without a GPU, as a server
    workload      programs into a file, or what they are made of
    simulate      one simulated run
    experiments   the runs that answer the evaluation's questions
    live          a load sent to URLs
    compare       ours beside the routers of others, on real engines
    calibrate     an engine's costs, measured
    report        the page of what was measured
    check         scenarios against their ranges

    results       a folder of results: points, timelines, and how they were made
    loads         which programs: options that commands share
    targets       where a load is sent and how: the same
    options       the types of options
    output        lines and tables
    facts         what a reader needs to repeat a run
    failures      what a command ends with when it cannot go on
"""
