"""`autellix up` for real: Redis and the gateway are the real ones, the engines answer at once but have unruly children.

Headline: whatever ends, and however, no process, no file and no port is left.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import autellix
import client_commands
import client_engine
import client_process_trees as trees
from autellix.stack import ports

pytestmark = pytest.mark.timeout(180)


class Up(client_commands.Running):
    """A running `autellix up` on a port of its own."""

    def __init__(self, folder: Path, *arguments: str, fault: str = "") -> None:
        self.port = ports.free(1)[0]
        super().__init__(folder, "up", "--port", str(self.port), *arguments, fault=fault)
        self.base_url = f"http://127.0.0.1:{self.port}/v1"


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Up]]:
    running: list[Up] = []
    yield running
    for up in running:
        up.end()


def test_two_engines_serve_a_session_and_ctrl_c_ends_everything(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "2", "--", "--max-num-seqs", "3")
    started.append(up)
    up.wait_until_it_says("Autellix is ready")
    assert f"export OPENAI_BASE_URL={up.base_url}" in up.said()
    assert {report.read_text() for report in up.ids.glob("*/extra")} == {"--max-num-seqs 3"}
    with autellix.session(up.base_url, model=client_engine.MODEL) as s:
        s.client.chat.completions.create(
            model=client_engine.MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=8
        )
        assert s.info()["calls"] == 1
    assert s.info()["state"] == "ended"
    up.look()
    assert len(up.engine_ids()) == 10
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(timeout=60) == 0
    assert "All its parts have ended." in up.said()
    assert trees.wait_until(up.everything_is_gone)
    ports.require_free("127.0.0.1", up.port)


def test_sigterm_ends_everything(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "1")
    started.append(up)
    up.wait_until_it_says("Autellix is ready")
    up.process.terminate()
    assert up.process.wait(timeout=60) == 0
    assert trees.wait_until(up.everything_is_gone)


def test_a_kill_ends_everything(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "2")
    started.append(up)
    up.wait_until_it_says("Autellix is ready")
    up.process.kill()
    up.process.wait()
    assert trees.wait_until(up.everything_is_gone), [p for p in up.seen.values() if p.is_running()]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["first-child", "engines-under-way", "gateway-under-way"])
def test_an_end_in_the_middle_of_the_start_leaves_nothing(
    tmp_path: Path, started: list[Up], number: signal.Signals, moment: str
) -> None:
    up = Up(tmp_path, "--engines", "2", fault="never-ready" if moment == "engines-under-way" else "")
    started.append(up)

    def reached() -> bool:
        up.look()
        match moment:
            case "first-child":
                return bool(up.seen)
            case "engines-under-way":
                return len(up.engine_ids()) == 10
            case _:
                return any(up.temporary.glob("*/gateway-*/log"))

    assert trees.wait_until(lambda: reached() or up.process.poll() is not None, 60)
    assert up.process.poll() is None, up.said()
    up.process.send_signal(number)
    status = up.process.wait(timeout=60)
    assert status == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert trees.wait_until(up.everything_is_gone)


def test_an_engine_that_dies_at_its_start_is_a_sentence_with_the_end_of_its_log(
    tmp_path: Path, started: list[Up]
) -> None:
    up = Up(tmp_path, "--engines", "1", "--model", "nonsense", fault="dies")
    started.append(up)
    assert up.process.wait(timeout=60) == 1
    said = up.said()
    assert "autellix: Engine 1 ended by itself (status 3). The end of its log:" in said
    assert "  There is no such model as nonsense" in said
    assert "Traceback" not in said
    assert trees.wait_until(up.everything_is_gone)


def test_an_engine_that_dies_later_ends_the_stack_with_a_sentence(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "2")
    started.append(up)
    up.wait_until_it_says("Autellix is ready")
    engine = next(int(report.read_text()) for report in up.ids.glob("*/engine"))
    os.kill(engine, signal.SIGKILL)
    assert up.process.wait(timeout=60) == 1
    assert "ended by itself (status 137)." in up.said()
    assert trees.wait_until(up.everything_is_gone)


def test_engines_that_run_already_are_used_and_left_alone(tmp_path: Path, started: list[Up]) -> None:
    with client_engine.running_engine() as one, client_engine.running_engine() as other:
        up = Up(tmp_path, "--engine", f"{one},{other}", "--policy", "fcfs", "--placement", "round-robin")
        started.append(up)
        up.wait_until_it_says("Autellix is ready")
        assert up.engine_ids() == []
        used = set()
        with autellix.session(up.base_url) as s:
            for _ in range(2):
                raw = s.client.chat.completions.with_raw_response.create(
                    model=client_engine.MODEL, messages=[{"role": "user", "content": "hello"}], max_tokens=8
                )
                used.add(raw.headers["x-autellix-engine"])
        assert used == {one.removeprefix("http://"), other.removeprefix("http://")}
        up.process.send_signal(signal.SIGINT)
        assert up.process.wait(timeout=60) == 0
    assert trees.wait_until(up.everything_is_gone)


def test_a_port_in_use_is_a_sentence(tmp_path: Path, started: list[Up]) -> None:
    with client_engine.running_engine() as somebody:
        port = somebody.rpartition(":")[2]
        up = Up(tmp_path, "--port", port)
        started.append(up)
        assert up.process.wait(timeout=60) == 1
    assert f"autellix: Port {port} of 127.0.0.1 cannot be had" in up.said()
    assert "choose another with --port" in up.said()
    assert up.everything_is_gone()
