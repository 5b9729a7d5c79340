"""500 calls under random levels on a real engine: no text depends on who was put back, and nothing is left over."""

import random
from typing import Any

import httpx2
import pytest

from autellix_core.wire import STATE_PATH
from engine_storm import Job, alone, stormed
from real_engine import MODEL, RealEngine

CALLS = 500

pytestmark = pytest.mark.timeout(300)  # the first test waits for the engine


def jobs() -> list[Job]:
    chance = random.Random(20250219)
    return [
        Job(
            {
                "model": MODEL,
                "prompt": f"{index} " * chance.randint(1, 12),
                "max_tokens": chance.randint(4, 28),
                "temperature": 0,
                "ignore_eos": True,
            },
            service_s=chance.choice([0.0, 0.3, 1.0, 5.0, 90.0]),
        )
        for index in range(CALLS)
    ]


async def test_500_calls_under_a_storm_of_preemptions_say_what_an_idle_engine_says(first_engine: RealEngine) -> None:
    async with httpx2.AsyncClient(base_url=first_engine.url, timeout=120) as http:
        idle = await alone(http, jobs())
        before = await state(http)
        storm = await stormed(http, jobs(), agents=16)
        after = await state(http)

    assert [answer.texts for answer in storm] == [answer.texts for answer in idle]
    assert len({answer.texts for answer in idle}) > CALLS * 0.9
    preemptions = sum(answer.report.preemptions for answer in storm)
    assert preemptions > 100
    counted = {
        name: after["counts"][name] - before["counts"][name]
        for name in ("resumptions", "recomputed_tokens", "demotions")
    }
    causes = {
        cause: count - before["counts"]["preemptions"][cause] for cause, count in after["counts"]["preemptions"].items()
    }
    assert sum(causes.values()) == counted["resumptions"] == preemptions
    assert counted["recomputed_tokens"] >= 0
    assert after["counts"]["failures"] == {}
    assert (after["running"], after["waiting"], after["resident_blocks"]) == ([], 0, {})
    print(f"{preemptions} preemptions {causes}, {counted}")  # noqa: T201 - shown with -s


async def state(http: httpx2.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await http.get(STATE_PATH)).raise_for_status().json()
    return found
