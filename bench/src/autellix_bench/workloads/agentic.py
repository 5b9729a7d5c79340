"""Coding agents of 2026: long contexts, nearly all of a prompt in the cache, short answers, hardly a pause.

Published: a median of 43 turns a session, 142K input and 444 output tokens a call, over 96 % of input found in the
prefix cache (vLLM's AgentX post, quoted in vllm-project/vllm#57103); 86 % of next calls within 1 s and 95 % within 10
s (vllm-project/router#285). The tokens are read as means.

Ours: log-normal lengths and their ``sigma``, at most 400 turns; which window the published tokens belong to (262,144
tokens: for another they all scale with it, so that shapes and shares stay); a shared system prompt of a sixteenth of
the window; what tools return (3,000 tokens on average there), and what a session begins with so that the mean input
comes out; that an agent whose window is full sums its history up and goes on from a new beginning, which no cache
holds; pauses of ten minutes at most. A session is one thread: subagents, which 44 % of sessions have, are not
modelled.
"""

from collections.abc import Callable
from random import Random

from autellix_bench.programs import Call, Segment
from autellix_bench.workloads.lengths import LongTailed
from autellix_bench.workloads.threads import Thread

__all__ = ["CONTEXT_TOKENS", "agent"]

CONTEXT_TOKENS = 131_072
"""The window unless told otherwise: LLaMA 3.1's."""

_PUBLISHED_WINDOW = 262_144
_LEAST_WINDOW = 2048
_TURNS = LongTailed.with_median(43, most=400, sigma=0.8)
_PAUSE_S = LongTailed.with_shares((0.86, 1.0), (0.95, 10.0), most=600)


def agent(context_tokens: int = CONTEXT_TOKENS) -> Callable[[Random], tuple[Call, ...]]:
    """What draws a session for a model with this window; prompt and answer of a call never exceed it.

    :raises ValueError: if there is no room for a session.
    """
    if context_tokens < _LEAST_WINDOW:
        raise ValueError(f"An agent needs a window of at least {_LEAST_WINDOW} tokens, not {context_tokens}.")
    scale = context_tokens / _PUBLISHED_WINDOW
    system = Segment("shared/agentic", context_tokens // 16)
    opening = _tokens(48_000, scale, sigma=0.6, most=120_000)
    result = _tokens(3_000, scale, sigma=1.2, most=40_000)
    decode = _tokens(444, scale, sigma=0.8, most=8_192)

    def calls(rng: Random) -> tuple[Call, ...]:
        thread = Thread(system)
        begins = True
        for _ in range(_TURNS.count(rng)):
            new, output = (opening if begins else result).count(rng), decode.count(rng)
            if thread.prompt_tokens + new + output > context_tokens:
                thread.forget()
                new = opening.count(rng)
            thread.ask("opening" if begins else "result", new, output, _PAUSE_S.time(rng))
            begins = False
        return tuple(thread.calls)

    return calls


def _tokens(mean: float, scale: float, *, sigma: float, most: float) -> LongTailed:
    return LongTailed.with_mean(mean * scale, most=most * scale, sigma=sigma)
