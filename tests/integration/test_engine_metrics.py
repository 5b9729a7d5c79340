"""The scheduler's counts on a real engine's ``/metrics``, beside vLLM's own."""

import asyncio

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from engine_storm import Job, stormed
from real_engine import MODEL, RealEngine

pytestmark = pytest.mark.timeout(300)  # the first test waits for the engine

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


async def scraped(http: httpx2.AsyncClient) -> Samples:
    text = (await http.get("/metrics")).raise_for_status().text
    families = text_string_to_metric_families(text)
    return {(each.name, tuple(sorted(each.labels.items()))): each.value for one in families for each in one.samples}


def job(tokens: int, service_s: float) -> Job:
    body = {"model": MODEL, "prompt": "x", "max_tokens": tokens, "temperature": 0, "ignore_eos": True}
    return Job(body, service_s)


async def test_what_the_scheduler_did_is_on_vllms_metrics(first_engine: RealEngine) -> None:
    async with httpx2.AsyncClient(base_url=first_engine.url, timeout=120) as http:
        before = await scraped(http)
        heavy = asyncio.create_task(stormed(http, [job(1500, 90.0)] * 2, agents=2))
        last_level = ("autellix_engine_calls", (("level", "9"), ("state", "running")))
        while (await scraped(http)).get(last_level, 0.0) < 2:
            assert not heavy.done()
        short = (await stormed(http, [job(4, 0.0)], agents=1))[0].report
        reports = [short, *(answer.report for answer in await heavy)]
        hostile = {"x-autellix-call": "c", "x-autellix-service": "nan"}
        (await http.post("/v1/completions", json=job(1, 0.0).body, headers=hostile)).raise_for_status()
        after = await scraped(http)

    def grown(name: str, **labels: str) -> float:
        key = (f"autellix_engine_{name}", tuple(sorted(labels.items())))
        return after[key] - before.get(key, 0.0)

    displaced = grown("preemptions_total", cause="better_call")
    assert displaced == grown("resumptions_total") == sum(report.preemptions for report in reports) >= 1
    assert grown("preemptions_total", cause="kv_pressure") == 0
    assert grown("absurd_headers_total", header="x-autellix-service") == 1
    assert grown("demotions_total") == sum(report.demotions for report in reports)
    assert grown("decision_seconds_count") >= 1500 / 2
    assert after[last_level] == 0
    assert any(name == "vllm:num_requests_running" for name, _ in after)
    assert not any(name == "autellix_engine_failures_total" for name, _ in after)
