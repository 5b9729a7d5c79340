"""`autellix demo` from its start to its end, with the real Redis and gateway and engines that answer at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import client_commands
import client_process_trees as trees

pytestmark = pytest.mark.timeout(180)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[client_commands.Running]:
    running = client_commands.Running(tmp_path, "demo", "--programs", "3", "--seed", "5")
    yield running
    running.end()


def test_it_measures_both_systems_and_leaves_nothing(demo: client_commands.Running) -> None:
    demo.wait_until_it_says("Ending the stack.")
    assert demo.process.wait(timeout=60) == 0, demo.said()
    said = demo.said()
    assert said.count("Autellix (ATLAS, local placement)   all programs done after") == 1
    assert said.count("FCFS + round robin   all programs done after") == 1
    assert "Program token latency, Autellix (ATLAS, local placement) against FCFS + round robin: mean " in said
    assert {report.read_text() for report in demo.ids.glob("*/extra")} == {"--max-num-seqs 2"}
    assert trees.wait_until(demo.everything_is_gone)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_an_end_while_programs_run_leaves_nothing(demo: client_commands.Running, number: signal.Signals) -> None:
    demo.wait_until_it_says("Autellix (ATLAS, local placement)")
    demo.process.send_signal(number)
    assert demo.process.wait(timeout=60) == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert "Traceback" not in demo.said()
    assert trees.wait_until(demo.everything_is_gone)


def test_an_engine_that_dies_under_the_programs_is_a_sentence(demo: client_commands.Running) -> None:
    demo.wait_until_it_says("Autellix (ATLAS, local placement)")
    engine = next(int(report.read_text()) for report in demo.ids.glob("*/engine"))
    psutil.Process(engine).kill()
    assert demo.process.wait(timeout=60) == 1
    said = demo.said()
    assert "autellix: " in said
    assert "Traceback" not in said
    assert trees.wait_until(demo.everything_is_gone)
