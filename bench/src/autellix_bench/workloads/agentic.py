"""Coding agents of 2026: long contexts, nearly all of a prompt in the cache, short answers, hardly a pause.

Published: a median of 43 turns a session, 142K input and 444 output tokens a call, over 96 % of input found in the
prefix cache, subagents in 44 % of sessions (vLLM's AgentX post, quoted in vllm-project/vllm#57103); 86 % of next calls
within 1 s and 95 % within 10 s (vllm-project/router#285). A turn is read as a call, and the tokens as means.

Ours: log-normal lengths and their ``sigma``, at most 400 turns; which window the published tokens belong to (262,144
tokens: for another they all scale with it, so that shapes and shares stay); a shared system prompt of a sixteenth of
the window; what tools return (3,000 tokens on average there), and what a session begins with so that the mean input
comes out; that an agent whose window is full sums its history up and goes on from a new beginning, which no cache
holds; pauses of ten minutes at most; that a third of the turns of a session with subagents are theirs: three at a time,
once, each with a context of its own, and the agent waits for all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
_WITH_SUBAGENTS = 0.44
_SUBAGENTS = 3
_TURNS_OF_SUBAGENTS = 1 / 3


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Tokens, for one window."""

    window: int
    system: Segment
    opening: LongTailed
    result: LongTailed
    output: LongTailed


def agent(context_tokens: int = CONTEXT_TOKENS) -> Callable[[Random], tuple[Call, ...]]:
    """What draws a session for a model with this window; prompt and answer of a call never exceed it.

    :raises ValueError: if there is no room for a session.
    """
    if context_tokens < _LEAST_WINDOW:
        raise ValueError(f"An agent needs a window of at least {_LEAST_WINDOW} tokens, not {context_tokens}.")
    scale = context_tokens / _PUBLISHED_WINDOW
    sizes = _Sizes(
        window=context_tokens,
        system=Segment("shared/agentic", context_tokens // 16),
        opening=LongTailed.with_mean(80_000 * scale, most=160_000 * scale, sigma=0.6),
        result=LongTailed.with_mean(3_000 * scale, most=40_000 * scale, sigma=1.2),
        output=LongTailed.with_mean(444 * scale, most=8_192 * scale, sigma=0.8),
    )
    return lambda rng: _session(sizes, rng)


def _session(sizes: _Sizes, rng: Random) -> tuple[Call, ...]:
    done: list[Call] = []
    turns = _TURNS.count(rng)
    has_subagents = rng.random() < _WITH_SUBAGENTS and turns > _SUBAGENTS + 1
    each = max(1, int(turns * _TURNS_OF_SUBAGENTS / _SUBAGENTS)) if has_subagents else 0
    turns -= each * _SUBAGENTS
    at = rng.randrange(1, turns) if each else turns
    main = Thread(done, sizes.system)
    for turn in range(turns):
        if turn == at:
            main.after = _subagents(done, main.after, each, sizes, rng)
        _turn(main, sizes.opening, sizes, rng)
    return tuple(done)


def _subagents(done: list[Call], after: tuple[str, ...], turns: int, sizes: _Sizes, rng: Random) -> tuple[str, ...]:
    """Their calls; returns the last of each."""
    threads = [Thread(done, sizes.system, name=f"sub{number}/", after=after) for number in range(_SUBAGENTS)]
    for thread in threads:
        for _ in range(turns):
            _turn(thread, sizes.result, sizes, rng)
    return tuple(call for thread in threads for call in thread.after)


def _turn(thread: Thread, opening: LongTailed, sizes: _Sizes, rng: Random) -> None:
    pause_s, output = _PAUSE_S.time(rng), sizes.output.count(rng)
    new = sizes.result.count(rng)
    if sizes.system.tokens + thread.history_tokens + new + output > sizes.window:
        thread.forget()
    if begins := not thread.history_tokens:
        new = opening.count(rng)
    thread.ask("opening" if begins else "result", new, output, pause_s)
