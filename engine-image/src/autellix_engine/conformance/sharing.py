"""Who shares the batch: preemption when it is full, what it does to the text, and siblings as equals."""

import asyncio

from autellix_engine.conformance.calls import new_id
from autellix_engine.conformance.probe import Engine
from autellix_engine.conformance.scenes import full_batch, shortly, together
from autellix_engine.conformance.verdicts import Failed, Skipped, expect

__all__ = ["parallel_siblings", "preemption_when_full", "same_text_after_preemption"]


async def preemption_when_full(engine: Engine) -> str:
    """A call of a new program displaces one of a program that had much service."""
    _needs_levels(engine)
    async with full_batch(engine) as holders:
        short = await engine.caller.stream(engine.call(shortly(engine)))
        left = sum(not holder.ended.is_set() for holder in holders)
    expect(
        left == len(holders),
        "With the batch full of calls of the last level, a call of the first level must be served before any of them "
        f"ends; it ended after {len(holders) - left} of {len(holders)} had.",
    )
    displaced = sum(holder.reported.preemptions for holder in holders)
    expect(displaced >= 1, "A call was displaced, but every call reports 0 preemptions.")
    expect(short.reported.preemptions == 0, "The better call reports that it was preempted itself.")
    return f"a call of the first level was served at once; {displaced} of the last level gave way"


async def same_text_after_preemption(engine: Engine) -> str:
    """At temperature 0 a displaced call's text is the one that it has on an idle engine."""
    _needs_levels(engine)
    prompts = [f"A long story of {new_id()}." for _ in range(min(engine.slots, 4))]
    async with full_batch(engine, prompts=prompts) as holders:
        rivals = [engine.call(shortly(engine)) for _ in range(engine.slots)]
        await together(engine, rivals)
    displaced = [each for each in holders[: len(prompts)] if each.reported.preemptions]
    if not displaced:
        raise Skipped("no call was displaced, so there is nothing to compare")
    for call in displaced:
        alone = await engine.caller.stream(engine.call(call.tokens, prompt=call.prompt))
        same = next((at for at, (a, b) in enumerate(zip(alone.text, call.text, strict=False)) if a != b), None)
        expect(
            alone.text == call.text,
            f"The text of a call that was displaced {call.reported.preemptions} times must be that of the same call "
            f"alone, at temperature 0; it differs from character {len(call.text) if same is None else same} on.",
        )
    return f"{len(displaced)} displaced calls have the text that they have alone"


async def parallel_siblings(engine: Engine) -> str:
    """Parallel calls of one program are equals: one level, first come first served, none displaces another."""
    bounds = engine.levels.bounds_s
    level = min(1, len(bounds))
    service_s = bounds[0] if bounds else 0.0
    quantum_s = engine.levels.quanta_s[level]
    for share in (4, 8, 16):
        tokens = min(engine.tokens(quantum_s / share), 64)
        program = new_id()
        siblings = [engine.call(tokens, service_s, program=program) for _ in range(2 * engine.slots)]
        async with asyncio.TaskGroup() as group:
            for sibling in siblings[: engine.slots]:
                group.create_task(engine.caller.stream(sibling))
            await asyncio.gather(*(sibling.begun.wait() for sibling in siblings[: engine.slots]))
            for sibling in siblings[engine.slots :]:
                group.create_task(engine.caller.stream(sibling))
        if not any(sibling.reported.demotions for sibling in siblings):
            break
    else:
        raise Skipped("even the shortest calls use up a quantum here")
    seen = sorted({sibling.reported.level for sibling in siblings})
    expect(
        seen == [level],
        f"Parallel calls of one program with {service_s:g} s of service must all be at level {level}, not at {seen}.",
    )
    displaced = sum(sibling.reported.preemptions for sibling in siblings)
    expect(displaced == 0, f"Parallel calls of one program displaced one another {displaced} times; they are equals.")
    first, second = siblings[: engine.slots], siblings[engine.slots :]
    if min(each.first_at for each in second) < min(each.ended_at for each in first):
        raise Failed("The batch was full of a call's siblings, yet it began before any of them ended.")
    return f"{len(siblings)} siblings stayed at level {level} in the order of their arrival"


def _needs_levels(engine: Engine) -> None:
    if engine.levels.count < 2:
        raise Skipped("the engine has one level, so no call is better than another")
