"""What program-aware serving gains, by the deployed rules of :mod:`autellix_core`, never by a copy of them::

__main__     the command line: `python -m autellix_bench`
commands     its commands, a module each
scenarios    simulated runs as data, and the ranges that are accepted of them
comparison   ours beside each of the others on real engines, on the same programs
experiments  which simulated runs answer which question
peers        engines and the routers of others, as processes
report       points as one page with pictures, the paper's claims beside ours
simulation   a gateway and many engines in virtual time, and the systems that are compared
live         programs sent to any server with the OpenAI API; an engine's costs, measured
server       the engine model in real time behind the OpenAI API and the engine's contract
workloads    programs drawn from published statistics
replay       programs in files
curves       latency against rate, gains and intervals
engine       the engine model: continuous batching, KV blocks, preemption; pure, in whatever time it is told
points       one measured point: a system under a load
timeline     who was in which batch when
records      a line a call, left by simulated and live runs alike
arrivals     when programs arrive
programs     agent programs as data: calls, prompts, who waits for whom
"""
