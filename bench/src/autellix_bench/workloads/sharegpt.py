"""Chats after ShareGPT: one thread, whose history grows.

Published (the paper's Figure 11): calls a program, mean 6.66 and at most 80, long-tailed; a call's prefill, mean 256
tokens, and decode, mean 277.

Ours: log-normal lengths and their ``sigma``; the longest message and answer; a system prompt of 512 tokens that all
chats share (the paper: short prompts are mostly that, and at least 75 % of one is found on any engine), which the mean
prefill includes; 10 s on average until a person has read and typed.
"""

from random import Random

from autellix_bench.programs import Call, Segment
from autellix_bench.workloads.lengths import LongTailed
from autellix_bench.workloads.threads import Thread

__all__ = ["calls"]

_CALLS = LongTailed.with_mean(6.66, most=80, sigma=1.0)
_DECODE = LongTailed.with_mean(277, most=2048, sigma=0.9)
_SYSTEM = Segment("shared/sharegpt", 512)
_MESSAGE = LongTailed.with_mean(256 - _SYSTEM.tokens / _CALLS.mean, most=4096, sigma=1.2)
_THINKING_S = LongTailed.with_mean(10, most=120, sigma=0.8)


def calls(rng: Random) -> tuple[Call, ...]:
    """One chat."""
    done: list[Call] = []
    thread = Thread(done, _SYSTEM)
    for _ in range(_CALLS.count(rng)):
        thread.ask("message", _MESSAGE.count(rng), _DECODE.count(rng), _THINKING_S.time(rng))
    return tuple(done)
