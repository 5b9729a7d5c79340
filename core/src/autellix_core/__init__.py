"""The scheduling rules of Autellix as pure functions.

Nothing in here reads a clock, draws a random number or does I/O: time comes in as an argument, and decisions go
out as values. The gateway, the engine adapter, the simulated engine and the simulator all run these same
functions, so what is simulated is what is deployed. Layers, upper ones may use lower ones::

    wire                          what crosses process borders
    queues  scaling               Algorithm 1 as one state machine; how many engines a pool needs
    batch  placement              who is in the batch; Algorithm 2
    levels                        one call's way through the K queues
    priority                      PLAS, ATLAS and the policies to compare with
    program                       the process table's rows and their transitions
    errors                        what can go wrong

Source of the algorithms: Luo et al., "Autellix: An Efficient Serving Engine for LLM Agents as General Programs",
arXiv 2502.13965. "Algorithm 1" and "section 4.2" in docstrings mean that paper's.
"""
