"""The conformance suite on real vLLM, as its command: run from the engine's own environment."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from autellix_engine.conformance.suite import CHECKS
from real_engine import RealEngine, engine_python

pytestmark = pytest.mark.timeout(300)  # the first test waits for the engine


@pytest.mark.parametrize("python", ["engine", "project"])
async def test_real_vllm_keeps_the_contract(first_engine: RealEngine, python: str) -> None:
    interpreter = str(engine_python()) if python == "engine" else sys.executable
    command = [interpreter, "-m", "autellix_engine.conformance", first_engine.url, "--json"]
    ran = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, env=os.environ, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    verdicts = {each["check"]: each["word"] for each in json.loads(ran.stdout)["checks"]}
    assert verdicts == {**dict.fromkeys(CHECKS, "passed"), "promotion": "skipped"}, ran.stdout
    assert "failed; this step is in vLLM's own order" not in first_engine.logged()
