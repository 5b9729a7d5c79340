"""Measures an engine from outside: what its iterations take with so many calls, so long prompts, so much context.

The engine must be idle otherwise, without a gateway before it, and each measurement is seen at the client: what HTTP
adds to a first token is in the fitted ``prefill_s``, as it is in what a program waits for.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

from autellix_bench.engine.fitting import Sample
from autellix_bench.live.asking import Asker, Named
from autellix_bench.live.readings import CallFailed, Reading
from autellix_bench.live.targets import Target
from autellix_bench.live.transport import Transport
from autellix_bench.programs import Call, Program, Segment

__all__ = ["Plan", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, in tokens and calls. Nothing larger than the engine takes: see its ``--max-num-seqs``."""

    batches: tuple[int, ...] = (1, 2, 4, 8)
    """Calls that decode together."""
    contexts: tuple[int, ...] = (64, 512, 2048)
    """Prompts of those."""
    prompts: tuple[int, ...] = (16, 128, 512, 1024, 2048, 4096)
    """Prompts of calls whose first token is waited for, each alone."""
    decoded_tokens: int = 64
    """That each call of a batch produces."""
    step_tokens: int = 2048
    """Tokens that the engine computes in an iteration at most (vLLM's ``--max-num-batched-tokens``)."""
    repeats: int = 5
    """Of each measurement the middle one counts: what else runs on the machine only ever makes an engine slower."""


async def measured(
    target: Target,
    plan: Plan,
    *,
    transport: Transport,
    salt: str | None = None,
    said: Callable[[str], None] = lambda _: None,
) -> list[Sample]:
    """Measure; ``said`` hears what is being done. Prompts are salted, so none is found in the engine's cache.

    :raises CallFailed: if a call failed, or the calls of a batch never ran together.
    """
    asker = Asker(target, transport, salt=secrets.token_hex(6) if salt is None else salt)
    shapes = [(tokens, 1) for tokens in plan.prompts]
    shapes += [(tokens, calls) for tokens in plan.contexts for calls in plan.batches]
    found: list[list[Sample]] = [[] for _ in shapes]
    said("one call first, which is not measured")
    await _asked(asker, "warm", [(plan.prompts[0], plan.decoded_tokens)])
    for turn in range(plan.repeats):
        for index, (tokens, calls) in enumerate(shapes):
            said(f"turn {turn + 1} of {plan.repeats}: {calls} x {tokens} tokens")
            alone = index < len(plan.prompts)
            lengths = [(tokens, 1 if alone else plan.decoded_tokens)] * calls
            timed = await _asked(asker, f"{turn}-{index}", lengths)
            sample = prefill(timed[0], step_tokens=plan.step_tokens) if alone else decode(timed)
            found[index] += () if sample is None else (sample,)
    return [_middle(samples) for samples in found]


@dataclass(frozen=True, slots=True)
class Timed:
    """An answered call: when it was sent, and when its tokens came."""

    prompt_tokens: int
    output_tokens: int
    sent_s: float
    times_s: Sequence[float]
    """Of each event. An engine whose server lags puts several tokens into one."""


def prefill(call: Timed, *, step_tokens: int) -> Sample:
    """The iterations up to the first token of a call that was alone."""
    tokens, steps = call.prompt_tokens, ceil(call.prompt_tokens / step_tokens)
    reached = [min(tokens, step * step_tokens) for step in range(1, steps + 1)]
    return Sample(
        seconds=call.times_s[0] - call.sent_s,
        steps=steps,
        prefills_begun=1,
        prefill_tokens=tokens,
        context_tokens=sum(reached),
    )


def decode(calls: Sequence[Timed]) -> Sample | None:
    """The iterations in which all these calls decoded: from the latest first token to the earliest last one."""
    begin, end = max(call.times_s[0] for call in calls), min(call.times_s[-1] for call in calls)
    if end <= begin:
        return None
    tokens = context = 0.0
    for call in calls:
        an_event = (call.output_tokens - 1) / (len(call.times_s) - 1)
        for index, at in enumerate(call.times_s):
            if begin < at <= end:
                tokens += an_event
                context += an_event * (call.prompt_tokens + an_event * (index - 0.5) + 0.5)
    return Sample(seconds=end - begin, steps=tokens / len(calls), decodes=tokens, context_tokens=context)


def _middle(samples: Sequence[Sample]) -> Sample:
    if not samples:
        raise CallFailed(
            "The calls of a batch never decoded together; measure smaller batches (the engine's --max-num-seqs is the "
            "largest), or more tokens a call."
        )
    return sorted(samples, key=lambda sample: sample.seconds / sample.steps)[len(samples) // 2]


async def _asked(asker: Asker, name: str, lengths: Sequence[tuple[int, int]]) -> list[Timed]:
    """Send calls of these lengths (prompt, answer), each with a prompt of its own, at once."""
    clock = asyncio.get_running_loop().time

    async def one(index: int, prompt: int, output: int) -> Timed:
        call = Call("call", (Segment("prompt", prompt),), output)
        body = asker.body(Program(f"{name}-{index}", "calibration", 0.0, (call,)), call, {})
        reading = Reading(clock, wants_text=True, keeps_times=True)
        sent_s = clock()
        await asker.ask(body, Named(), reading)
        if not reading.times_s:
            raise CallFailed("A call got no token; a calibration needs a target that streams.")
        return Timed(reading.prompt_tokens or prompt, reading.output_tokens, sent_s, reading.times_s)

    tasks = [asyncio.create_task(one(index, *each)) for index, each in enumerate(lengths)]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
