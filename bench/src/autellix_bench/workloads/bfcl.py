"""Tool use after BFCL v3 in ReAct's loop: one thread of short answers, each a tool call, and what the tools return.

Published (the paper's Figure 11): calls a program, mean 10.75 and at most 70; a call's prefill, mean 735.06 tokens, and
decode, mean 34.14.

Ours: log-normal lengths and their ``sigma``; the longest result and answer; a system prompt of 1,536 tokens (the tools'
descriptions) that all programs share, which the mean prefill includes; tools that take half a second on average.
"""

from random import Random

from autellix_bench.programs import Call, Segment
from autellix_bench.workloads.lengths import LongTailed
from autellix_bench.workloads.threads import Thread

__all__ = ["calls"]

_CALLS = LongTailed.with_mean(10.75, most=70, sigma=0.7)
_DECODE = LongTailed.with_mean(34.14, most=512, sigma=0.7)
_SYSTEM = Segment("shared/bfcl", 1536)
_RESULT = LongTailed.with_mean(735.06 - _SYSTEM.tokens / _CALLS.mean, most=8192, sigma=1.0)
_TOOL_S = LongTailed.with_mean(0.5, most=30, sigma=1.0)


def calls(rng: Random) -> tuple[Call, ...]:
    """One task."""
    done: list[Call] = []
    thread = Thread(done, _SYSTEM)
    for _ in range(_CALLS.count(rng)):
        thread.ask("result", _RESULT.count(rng), _DECODE.count(rng), _TOOL_S.time(rng))
    return tuple(done)
