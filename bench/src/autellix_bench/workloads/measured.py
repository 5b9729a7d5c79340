"""What a load is made of, to be held against what is published of its like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from autellix_bench.programs import Program, Segment, ancestors
from autellix_core.latency import mean, percentile

__all__ = ["SHORT_TOKENS", "Spread", "Statistics", "statistics"]

SHORT_TOKENS = 2048
"""Up to here Algorithm 2 takes a call for a short one."""


@dataclass(frozen=True, slots=True)
class Spread:
    """How a quantity is distributed."""

    mean: float
    median: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(
            mean=mean(values),
            median=percentile(values, 0.5),
            p95=percentile(values, 0.95),
            p99=percentile(values, 0.99),
            most=max(values),
        )


@dataclass(frozen=True, slots=True)
class Statistics:
    """A load in numbers; those that tell of calls are over all calls of all programs."""

    programs: int
    calls: Spread
    """A program."""
    chain: Spread
    """Calls on a program's longest path."""
    prompt: Spread
    """Tokens a call: the whole prompt."""
    prefill: Spread
    """Tokens a call: what its prompt adds to those of the calls that it waits for and their answers."""
    decode: Spread
    """Tokens a call."""
    gap_s: Spread
    """Between a call's last parent's answer and itself; calls without parents are left out, 0 if all are."""
    parallelism: float
    """Calls over calls on the longest path, mean over programs: 1 for a single thread."""
    prefix_hit_share: float
    """Of all prompt tokens, those that an endless cache holds: which stood in the same place in an earlier call of
    the program, or its answer, or which open the prompt and are shared by all programs."""
    short_shared_share: float
    """Of the tokens of prompts of at most 2,048, those that open the prompt and are shared by all programs."""


@dataclass(frozen=True, slots=True)
class _Prompt:
    """One prompt, from its beginning."""

    tokens: int
    shared: int
    known: int
    """What a cache holds."""
    inherited: int
    """What calls it waits for had."""


def statistics(programs: Iterable[Program]) -> Statistics:
    """The numbers of these programs.

    :raises ValueError: if there is none.
    """
    count = 0
    calls: list[int] = []
    chains: list[int] = []
    prompts: list[_Prompt] = []
    decode: list[int] = []
    gaps: list[float] = []
    for program in programs:
        count += 1
        calls.append(len(program.calls))
        chains.append(_chain(program))
        prompts.extend(_prompts(program))
        decode.extend(call.output_tokens for call in program.calls)
        gaps.extend(call.gap_s for call in program.calls if call.parents)
    if not count:
        raise ValueError("There is no program to take statistics of.")
    short = [prompt for prompt in prompts if prompt.tokens <= SHORT_TOKENS]
    return Statistics(
        programs=count,
        calls=Spread.of(calls),
        chain=Spread.of(chains),
        prompt=Spread.of([prompt.tokens for prompt in prompts]),
        prefill=Spread.of([prompt.tokens - prompt.inherited for prompt in prompts]),
        decode=Spread.of(decode),
        gap_s=Spread.of(gaps or [0.0]),
        parallelism=mean([all_calls / longest for all_calls, longest in zip(calls, chains, strict=True)]),
        prefix_hit_share=_share(sum(prompt.known for prompt in prompts), prompts),
        short_shared_share=_share(sum(prompt.shared for prompt in short), short),
    )


def _share(part: int, prompts: Sequence[_Prompt]) -> float:
    return part / sum(prompt.tokens for prompt in prompts) if prompts else 0.0


def _chain(program: Program) -> int:
    lengths: dict[str, int] = {}
    for call in program.calls:
        lengths[call.id] = 1 + max((lengths[parent] for parent in call.parents), default=0)
    return max(lengths.values())


def _prompts(program: Program) -> Iterator[_Prompt]:
    prefixes: dict[tuple[int, str, int, bool], int] = {}
    """Every prefix that was sent, by the prefix before it and its last segment."""
    holders: list[int] = [0]
    """By prefix, the calls that had it, as bits."""

    def extended(prefix: int, segment: Segment) -> int:
        # By its fields: they are hashed without a call into Python, and long histories are hashed often.
        number = prefixes.setdefault((prefix, segment.key, segment.tokens, segment.answer), len(holders))
        if number == len(holders):
            holders.append(0)
        return number

    for index, (call, before) in enumerate(zip(program.calls, ancestors(program), strict=True)):
        prefix = tokens = shared = known = inherited = 0
        for segment in call.prompt:
            opens_shared = shared == tokens and segment.key.startswith("shared/")
            prefix = extended(prefix, segment)
            earlier, tokens = holders[prefix], tokens + segment.tokens
            shared = tokens if opens_shared else shared
            known = tokens if opens_shared or earlier else known
            inherited = tokens if earlier & before else inherited
            holders[prefix] |= 1 << index
        answer = extended(prefix, Segment(call.id, call.output_tokens, answer=True))
        holders[answer] |= 1 << index
        yield _Prompt(tokens, shared, known, inherited)
