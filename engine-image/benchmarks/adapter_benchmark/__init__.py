"""What the engine adapter costs and gains, against stock vLLM: ``make bench-adapter``.

It runs in the engine's environment, beside the adapter and no part of it. Every system is measured in one run on one
machine, with their repetitions interleaved, so its results are ratios; absolute times are this machine's.

    __main__                         the four measurements in turn; what is printed and kept
    admission throughput             real servers over HTTP: a short call at a full batch; tokens a second
    steps recomputation              vLLM's own scheduler classes without a model: time a step; tokens computed again
    servers traffic                  vLLM as a process, with the adapter or stock; calls sent to it
    schedulers                       vLLM's scheduler classes, and a model that costs nothing
    tables                           numbers, as text and as JSON
"""
