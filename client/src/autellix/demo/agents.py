"""An agent program that does what a workload says, through the OpenAI SDK in an Autellix session."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import autellix
from autellix import errors
from autellix.demo.workloads import Ask, Program
from autellix_core.latency import Span

if TYPE_CHECKING:
    import openai
    from openai.types.chat import ChatCompletionMessageParam

__all__ = ["Place", "run"]

_WORDS = ("agent", "reads", "page", "asks", "fact", "notes", "found", "train", "leaves", "station", "city", "tool")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program runs: the gateway, the model, and a salt that no other run shares."""

    base_url: str
    model: str
    salt: str


async def run(program: Program, place: Place, started: Callable[[str], None]) -> tuple[Span, ...]:
    """Run the program to its end; the calls that it made. `started` is told the id as soon as there is one.

    :raises ProgramFailed: if a call was not answered.
    """
    import openai

    rng = random.Random(program.name)  # noqa: S311 - filler text
    shared = random.Random(program.shape.value)  # noqa: S311 - agents of one kind share their system prompt
    system = f"{place.salt} {_text(shared, program.system_chars)}"
    history: list[ChatCompletionMessageParam] = [{"role": "system", "content": system}]
    spans: list[Span] = []
    try:
        async with autellix.session(place.base_url, model=place.model) as session, session.async_client as client:
            started(session.id)
            for round_ in program.rounds:
                asks = [(ask, _text(rng, ask.prompt_chars)) for ask in round_.asks]
                answers = await asyncio.gather(
                    *(_call(client, place.model, history, text, ask, spans) for ask, text in asks)
                )
                for (_, text), answer in zip(asks, answers, strict=True):
                    history += [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]
                await asyncio.sleep(round_.pause_s)
    except (openai.OpenAIError, errors.GatewayError) as error:
        raise errors.ProgramFailed(f"The program '{program.name}' failed: {error}") from error
    return tuple(spans)


async def _call(
    client: openai.AsyncOpenAI,
    model: str,
    history: list[ChatCompletionMessageParam],
    text: str,
    ask: Ask,
    spans: list[Span],
) -> str:
    asked_s = time.monotonic()
    answer = await client.chat.completions.create(
        model=model,
        messages=[*history, {"role": "user", "content": text}],
        max_tokens=ask.answer_tokens,
        temperature=0,
        extra_body={"ignore_eos": True},  # so that both systems have the same number of tokens to make
    )
    tokens = answer.usage.completion_tokens if answer.usage is not None else 0
    spans.append(Span(asked_s, time.monotonic(), tokens))
    return answer.choices[0].message.content or ""


def _text(rng: random.Random, chars: int) -> str:
    """Filler of that length."""
    words = " ".join(rng.choice(_WORDS) for _ in range(chars // 2 + 1))
    return words[:chars]
