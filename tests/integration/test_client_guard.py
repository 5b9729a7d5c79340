"""The guard leaves nothing behind, however its parent or its command ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import client_process_trees as trees
from autellix import guard

NAMES = ("polite-1", "deaf-1", "runaway-1", "runaway-2")


def guarded(folder: Path, *extra: str) -> list[str]:
    command = [sys.executable, trees.__file__, str(folder), *NAMES]
    return [sys.executable, "-P", guard.__file__, "--grace", "0.5", *extra, "--", *command]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "ids"
    path.mkdir()
    yield path
    for report in path.iterdir():  # whatever a failing test left
        try:
            psutil.Process(int(report.read_text())).kill()
        except psutil.NoSuchProcess:
            continue


def started(folder: Path, *extra: str) -> tuple[subprocess.Popen[bytes], list[int]]:
    process = subprocess.Popen(guarded(folder, *extra), stdin=subprocess.PIPE, start_new_session=True)
    return process, list(trees.ids(folder, ("command", *NAMES)).values())


def test_a_killed_parent_leaves_no_process_and_no_scratch_folder(folder: Path, tmp_path: Path) -> None:
    scratch = tmp_path / "stack" / "engine-1"
    scratch.mkdir(parents=True)
    (scratch / "log").write_text("some lines")
    parent_program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent_program, *guarded(folder, "--scratch", str(scratch))],
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        guard_id = int(parent.stdout.readline())
        tree = list(trees.ids(folder, ("command", *NAMES)).values())
        parent.kill()
        assert trees.wait_until(lambda: trees.none_alive([*tree, guard_id]))
    assert not scratch.parent.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_guard_ends_the_whole_tree_and_keeps_the_scratch_folder(
    folder: Path, tmp_path: Path, number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    process, tree = started(folder, "--scratch", str(scratch))
    with process:
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert trees.none_alive(tree)
    assert scratch.exists()


def test_a_closed_leash_ends_the_whole_tree(folder: Path) -> None:
    process, tree = started(folder)
    with process:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)
    assert trees.none_alive(tree)


def test_a_command_that_dies_takes_its_descendants_along(folder: Path) -> None:
    process, tree = started(folder)
    with process:
        psutil.Process(trees.ids(folder, ["command"])["command"]).kill()
        assert process.wait(timeout=30) == 128 + signal.SIGKILL
    assert trees.none_alive(tree)


@pytest.mark.skipif(sys.platform != "linux", reason="The parent-death signal is Linux's.")
def test_a_killed_guard_takes_its_command_along(folder: Path) -> None:
    process, _ = started(folder)
    command = trees.ids(folder, ["command"])["command"]
    with process:
        process.kill()
        assert trees.wait_until(lambda: trees.none_alive([command]))


@pytest.mark.parametrize("status", [0, 3])
def test_the_status_of_the_command_is_the_guards(status: int) -> None:
    command = [sys.executable, "-c", f"raise SystemExit({status})"]
    arguments = [sys.executable, "-P", guard.__file__, "--", *command]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE) as process:
        assert process.wait(timeout=30) == status


def test_a_command_that_does_not_exist_is_a_sentence() -> None:
    arguments = [sys.executable, "-P", guard.__file__, "--", "/nowhere/engine"]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 127
    assert said == "/nowhere/engine cannot be started: No such file or directory.\n"
