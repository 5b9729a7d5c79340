"""A model that computes next to nothing, behind the two ways in which vLLM's workers keep a batch.

The model's next token follows from all tokens before it *as they lie in the KV cache*: each position's entry is made of
its token and the entry before it, read through the call's own block table. So a block freed too early, handed to two
calls or resumed from wrongly changes the text, as it would on a GPU.

What the runners take for granted is what vLLM's own take for granted: a step says only what changed. Where the
scheduler says too little, these fail or compute something else, as those would.
"""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from zlib import crc32

__all__ = ["BLOCK", "VOCABULARY", "BatchRunner", "SlotRunner", "alone"]

BLOCK = 4
"""Tokens of a KV block."""

VOCABULARY = 997


def _entry(token: int, before: int) -> int:
    return crc32(token.to_bytes(4, "little"), before)


def _next_token(entries: Sequence[int]) -> int:
    return crc32(array("I", entries).tobytes()) % VOCABULARY


def alone(prompt: Sequence[int], *, most_tokens: int, ends: Iterable[int]) -> list[int]:
    """What the model answers if nothing else goes on: up to ``most_tokens``, or to the first of ``ends``."""
    last, entries = set(ends), array("I")
    for token in prompt:
        entries.append(_entry(token, entries[-1] if entries else 0))
    answer: list[int] = []
    while len(answer) < most_tokens:
        answer.append(_next_token(entries))
        if answer[-1] in last:
            break
        entries.append(_entry(answer[-1], entries[-1]))
    return answer


@dataclass
class Held:
    """What a worker remembers of a call between steps."""

    tokens: list[int]
    prompt: int
    """Tokens of the prompt."""
    blocks: list[int]
    computed: int = 0


class BatchRunner:
    """As vLLM's first model runner: it keeps calls that were preempted, and the batch of the last step."""

    def __init__(self, blocks: int, *, slots: int, runs_ahead: bool) -> None:
        self.held: dict[str, Held] = {}
        self._cache = array("I", bytes(4 * BLOCK * blocks))
        self._slots = slots
        self._runs_ahead = runs_ahead
        self._batch: set[str] = set()

    def execute(self, step: Any) -> dict[str, list[int]]:
        """Take over what changed and compute: one token for each call whose tokens are all in the cache then."""
        assert not getattr(step, "kv_cache_block_copies", None)
        self._take_over(step)
        return {call: self._compute(self.held[call], count) for call, count in step.num_scheduled_tokens.items()}

    def _take_over(self, step: Any) -> None:
        for call in step.finished_req_ids:
            self.held.pop(call, None)
            self._batch.discard(call)
        cached = step.scheduled_cached_reqs
        self._batch &= step.num_scheduled_tokens.keys() - cached.resumed_req_ids
        for data in step.scheduled_new_reqs:
            assert data.req_id not in self.held, f"{data.req_id} is new a second time"
            tokens = list(data.prompt_token_ids)
            self.held[data.req_id] = Held(tokens, len(tokens), list(data.block_ids[0]), data.num_computed_tokens)
            self._batch.add(data.req_id)
        for index, call in enumerate(cached.req_ids):
            self._go_on(call, cached, index)

    def _go_on(self, call: str, cached: Any, index: int) -> None:
        held, new_blocks, answered = self.held[call], cached.new_block_ids[index], cached.num_output_tokens[index]
        held.computed = cached.num_computed_tokens[index]
        del held.tokens[held.prompt + answered :]
        if call in cached.resumed_req_ids:
            held.blocks = list(new_blocks[0])
        elif new_blocks is not None:
            held.blocks.extend(new_blocks[0])
        if call not in self._batch:
            self._batch.add(call)
            if self._runs_ahead and answered:  # its own copy may be older than what was delivered since
                held.tokens[held.prompt :] = cached.all_token_ids[call][-answered:]

    def _compute(self, held: Held, count: int) -> list[int]:
        end = held.computed + count
        assert end <= len(held.tokens), f"token {end} is to be computed, but only {len(held.tokens)} are known"
        places = [block * BLOCK + offset for block in held.blocks for offset in range(BLOCK)][:end]
        assert len(places) == end, f"{end} tokens have blocks for {len(places)}"
        for position in range(held.computed, end):
            before = self._cache[places[position - 1]] if position else 0
            self._cache[places[position]] = _entry(held.tokens[position], before)
        held.computed = end
        if end < len(held.tokens):
            return []
        held.tokens.append(_next_token([self._cache[place] for place in places]))
        return [held.tokens[-1]]


class SlotRunner(BatchRunner):
    """As vLLM's second model runner: a preempted call loses its slot and comes back as a new one, tokens and all."""

    def _take_over(self, step: Any) -> None:
        for call in step.finished_req_ids | (step.preempted_req_ids or set()):
            self.held.pop(call, None)
        for data in step.scheduled_new_reqs:
            assert data.req_id not in self.held, f"{data.req_id} is resumed, but its slot was never given back"
            tokens = list(data.prefill_token_ids)
            prompt = len(data.prompt_token_ids)
            self.held[data.req_id] = Held(tokens, prompt, list(data.block_ids[0]), data.num_computed_tokens)
        assert len(self.held) <= self._slots, f"{len(self.held)} calls hold the runner's {self._slots} slots"
        cached = step.scheduled_cached_reqs
        assert not cached.resumed_req_ids
        for index, call in enumerate(cached.req_ids):
            held, new_blocks = self.held[call], cached.new_block_ids[index]
            held.computed = cached.num_computed_tokens[index]
            if new_blocks is not None:
                held.blocks.extend(new_blocks[0])
