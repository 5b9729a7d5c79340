"""`autellix engine check`, `engine-sim` and `bench` hand over to what is installed, or say that it is not."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from typer.testing import CliRunner

from autellix.cli import app

runner = CliRunner()


@pytest.mark.parametrize(
    ("given", "ran"),
    [
        (["engine", "check", "http://e:1", "--json"], ["autellix_engine.conformance", "http://e:1", "--json"]),
        (["engine", "check", "--help"], ["autellix_engine.conformance", "--help"]),
        (["engine-sim", "--port", "9"], ["autellix_bench", "engine-sim", "--port", "9"]),
        (["bench", "simulate", "--rate", "2"], ["autellix_bench", "simulate", "--rate", "2"]),
        (["bench", "--help"], ["autellix_bench", "--help"]),
    ],
)
def test_the_command_becomes_the_other_distributions(
    given: list[str], ran: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda program, command: became.append([program, *command]))
    assert runner.invoke(app, given).exit_code == 0
    assert became == [[sys.executable, sys.executable, "-m", *ran]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["engine", "check", "http://e:1"], "pip install autellix-engine[conformance]"),
        (["engine-sim"], "pip install autellix-bench"),
        (["bench", "check"], "pip install autellix-bench"),
    ],
)
def test_a_distribution_that_is_not_installed_is_a_sentence(
    given: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    result = runner.invoke(app, given)
    assert result.exit_code == 1
    assert said in result.stderr
