"""The command's sentences, exit statuses and help."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from autellix.cli import app
from autellix.stack import gateway as gateways
from client_gateway import Gateway, a_session, running_gateway

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AUTELLIX_BASE_URL", "AUTELLIX_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with running_gateway() as running:
        yield running


def test_ps_shows_the_programs_that_the_environment_points_at(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTELLIX_BASE_URL", gateway.base_url)
    monkeypatch.setenv("AUTELLIX_API_KEY", "a-key")
    gateway.sessions["ses_1"] = a_session("ses_1", calls=3)
    result = runner.invoke(app, ["ps"])
    assert result.exit_code == 0
    assert "ses_1" in result.stdout
    assert gateway.seen[0].headers["authorization"] == "Bearer a-key"


def test_ps_without_programs_says_so(gateway: Gateway) -> None:
    result = runner.invoke(app, ["ps", "--base-url", gateway.base_url])
    assert result.stdout.strip() == f"No programs at {gateway.base_url}."


def test_ps_as_json_is_the_gateways_own(gateway: Gateway) -> None:
    gateway.sessions["ses_1"] = a_session("ses_1", calls=3)
    result = runner.invoke(app, ["ps", "--json", "--base-url", gateway.base_url])
    assert json.loads(result.stdout) == [gateway.sessions["ses_1"]]


def test_ps_without_a_gateway_is_a_sentence_and_fails() -> None:
    with running_gateway() as gone:
        pass
    result = runner.invoke(app, ["ps", "--base-url", gone.base_url])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith("autellix: No gateway answers at http://127.0.0.1:")


def test_ps_cannot_watch_in_json(gateway: Gateway) -> None:
    result = runner.invoke(app, ["ps", "--json", "--watch", "--base-url", gateway.base_url])
    assert result.exit_code == 2
    assert "leave out --watch" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param(["--engine", "ollama"], "is neither `vllm` nor URLs", id="unknown-engine"),
        pytest.param(["--engine", ","], "is neither `vllm` nor URLs", id="no-url"),
        pytest.param(["--engine", "http://a", "--", "--max-num-seqs", "2"], "run already", id="nothing-for-vllm"),
        pytest.param(["--policy", "lottery"], "lottery", id="unknown-policy"),
        pytest.param(["--placement", "nearest"], "nearest", id="unknown-placement"),
        pytest.param(["--engines", "0"], "--engines", id="no-engine"),
    ],
)
def test_up_refuses_what_it_cannot_start(arguments: list[str], words: str) -> None:
    result = runner.invoke(app, ["up", *arguments])
    assert result.exit_code == 2
    assert words in result.stderr


def test_gateway_hands_its_arguments_on(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr("os.execv", lambda path, command: ran.append(command))
    result = runner.invoke(app, ["gateway", "--port", "9000", "--help"])
    assert result.exit_code == 0
    assert ran == [gateways.command(["--port", "9000", "--help"])]


def test_gateway_that_is_not_installed_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = runner.invoke(app, ["gateway"])
    assert result.exit_code == 1
    assert result.stderr.startswith("autellix: The gateway is not installed")


def test_the_first_help_names_every_command() -> None:
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    assert all(command in result.stdout for command in ("up", "gateway", "ps", "demo"))


def test_the_version_is_the_distributions() -> None:
    result = runner.invoke(app, ["--version"])
    assert result.stdout.startswith("autellix 0.")
