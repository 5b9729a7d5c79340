"""`autellix up` for real: Redis and the gateway are the real ones, the engines answer at once but have unruly children.

Headline: whatever ends, and however, no process, no file and no port is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import autellix
import client_engine
import client_process_trees as trees
from autellix.stack import ports

pytestmark = pytest.mark.timeout(180)


class Up:
    """A running `autellix up`, with all that it may leave."""

    def __init__(self, folder: Path, *arguments: str, fault: str = "") -> None:
        self.ids, self.output = folder / "ids", folder / "output"
        self.ids.mkdir()
        self.temporary = Path(tempfile.mkdtemp(prefix="up-"))  # short enough for the sockets that go into it
        self.port = ports.a_free_one()
        environ = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "CLIENT_ENGINE_IDS": str(self.ids),
            "CLIENT_ENGINE_FAULT": fault,
            "AUTELLIX_ENGINE_PYTHON": str(client_engine.as_engine_python(folder)),
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "autellix", "up", "--port", str(self.port), *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environ,
                start_new_session=True,
            )
        self.seen: dict[int, psutil.Process] = {}

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def said(self) -> str:
        return self.output.read_text()

    def look(self) -> None:
        """Remember every process there is below it."""
        try:
            self.seen.update((p.pid, p) for p in psutil.Process(self.process.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return

    def has_said(self, words: str) -> bool:
        self.look()
        return words in self.said() or self.process.poll() is not None

    def wait_until_ready(self) -> None:
        assert trees.wait_until(lambda: self.has_said("Autellix is ready"), 90)
        assert "Autellix is ready" in self.said(), self.said()

    def engine_ids(self) -> list[int]:
        reports = [path for path in self.ids.glob("*/[!.]*") if path.name != "extra"]
        return [int(report.read_text()) for report in reports]

    def everything_is_gone(self) -> bool:
        pids = [*self.engine_ids(), *self.seen]
        return trees.none_alive(pids) and not any(self.temporary.iterdir())

    def end(self) -> None:
        self.look()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        trees.wait_until(self.everything_is_gone)
        shutil.rmtree(self.temporary)


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[Up]]:
    running: list[Up] = []
    yield running
    for up in running:
        up.end()


def test_two_engines_serve_a_session_and_ctrl_c_ends_everything(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "2", "--", "--max-num-seqs", "3")
    started.append(up)
    up.wait_until_ready()
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
    up.wait_until_ready()
    up.process.terminate()
    assert up.process.wait(timeout=60) == 0
    assert trees.wait_until(up.everything_is_gone)


def test_a_kill_ends_everything(tmp_path: Path, started: list[Up]) -> None:
    up = Up(tmp_path, "--engines", "2")
    started.append(up)
    up.wait_until_ready()
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
    up.wait_until_ready()
    engine = next(int(report.read_text()) for report in up.ids.glob("*/engine"))
    os.kill(engine, signal.SIGKILL)
    assert up.process.wait(timeout=60) == 1
    assert "ended by itself (status 137)." in up.said()
    assert trees.wait_until(up.everything_is_gone)


def test_engines_that_run_already_are_used_and_left_alone(tmp_path: Path, started: list[Up]) -> None:
    with client_engine.running_engine() as one, client_engine.running_engine() as other:
        up = Up(tmp_path, "--engine", f"{one},{other}", "--policy", "fcfs", "--placement", "round-robin")
        started.append(up)
        up.wait_until_ready()
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
