"""`autellix up` with a real vLLM engine, whose processes are the ones that are hard to end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

import autellix
import client_commands
import client_process_trees as trees
import real_engine
from autellix.stack import ports
from autellix.stack.plan import TINY_MODEL

pytestmark = pytest.mark.timeout(400)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_real_engine_serves_and_nothing_of_it_is_left(tmp_path: Path, number: signal.Signals) -> None:
    port = ports.free(1)[0]
    python = real_engine.engine_python()
    up = client_commands.Running(tmp_path, "up", "--engines", "1", "--port", str(port), engine_python=python)
    try:
        up.wait_until_it_says("Autellix is ready")
        with autellix.session(f"http://127.0.0.1:{port}/v1", model=TINY_MODEL) as s:
            answer = s.client.chat.completions.create(
                model=TINY_MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=16
            )
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 16
        seen = s.info()
        assert (seen["calls"], seen["output_tokens"]) == (1, 16)
        assert seen["service_seconds"] > 0
        up.look()
        up.process.send_signal(number)
        up.process.wait(timeout=60)
        assert trees.wait_until(up.everything_is_gone)
    finally:
        up.end()
