"""What needs an engine started for it alone: speculative decoding, and what keeps an engine from starting.

Apart from the features that share one engine, so that no more than two engines run at a time.
"""

import json
import re
import subprocess

import httpx2
import pytest

from autellix_core.wire import STATE_PATH
from engine_storm import Job, alone, stormed
from real_engine import MODEL, engine_python, real_engine

pytestmark = pytest.mark.timeout(300)  # engines start in here

LEVELS_S = (0.0, 0.3, 1.0, 5.0, 90.0)


async def test_speculative_decoding_goes_on_after_a_preemption() -> None:
    speculation = {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_max": 3, "prompt_lookup_min": 1}
    jobs = [
        Job(
            {
                "model": MODEL,
                "prompt": f"Guess {index % 4}, " * 12,
                "temperature": 0,
                "max_tokens": 60,
                "ignore_eos": True,
            },
            LEVELS_S[-1 - index % len(LEVELS_S)],
        )
        for index in range(15)
    ]
    with real_engine("--", "--max-num-seqs", "2", "--speculative-config", json.dumps(speculation)) as engine:
        async with httpx2.AsyncClient(base_url=engine.url, timeout=120) as http:
            idle = await alone(http, jobs)
            storm = await stormed(http, jobs, agents=6)
            metrics = (await http.get("/metrics")).text
            state = (await http.get(STATE_PATH)).json()
    assert storm == idle
    assert sum(answer.report.preemptions for answer in storm) > 0
    assert sum(answer.report.output_tokens for answer in storm) == 60 * len(jobs)
    (drafted,) = re.findall(r"^vllm:spec_decode_num_draft_tokens_total\{.*\} (.*)$", metrics, re.MULTILINE)
    assert float(drafted) > 0
    assert state["counts"]["failures"] == {}


def test_what_does_not_go_with_the_adapter_keeps_the_engine_from_starting() -> None:
    command = [str(engine_python()), "-m", "autellix_engine", "--port", "1", "--", "--data-parallel-size", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert ended.returncode != 0
    assert "start one engine a rank (--data-parallel-size 1)" in ended.stderr + ended.stdout
