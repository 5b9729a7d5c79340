"""What the compared systems are started with, what their health endpoints say, and how they are told of programs."""

import json
import sys
from pathlib import Path

import pytest
import yaml

from autellix_bench.peers import PEERS, EngineKind, EngineShape, PartMissing, Place
from autellix_bench.peers.engines import engine_command
from autellix_bench.peers.environments import engine_python, peer_program
from autellix_bench.peers.readiness import lacks_a_router, lacks_an_answer, lacks_autellix
from bench_peers import installed_peers

ENGINES = ("http://127.0.0.1:8001", "http://127.0.0.1:8002")
PLACE = Place(engines=ENGINES, shape=EngineShape(), port=9000, metrics_port=9001, key="sk-test")
FRONTS = [name for name, peer in PEERS.items() if peer.command is not None]


def command_of(name: str, place: Place = PLACE) -> tuple[str, list[str], dict[str, str], dict[str, str]]:
    peer = PEERS[name]
    assert peer.command is not None
    command = peer.command(place)
    return command.program, list(command.arguments), dict(command.environment), dict(command.files)


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


@pytest.mark.parametrize("name", FRONTS)
def test_every_system_stands_before_both_engines_on_its_port(name: str) -> None:
    _, arguments, environment, files = command_of(name)
    said = " ".join([*arguments, *environment.values(), *files.values()])
    assert all(url in said for url in ENGINES)
    assert value_of(arguments, "--port") == "9000"
    assert "0.0.0.0" not in said


@pytest.mark.parametrize("name", [name for name in FRONTS if "router" in name])
def test_routers_listen_on_this_machine_alone_also_with_their_metrics(name: str) -> None:
    _, arguments, _, _ = command_of(name)
    assert value_of(arguments, "--host") == value_of(arguments, "--prometheus-host") == "127.0.0.1"
    assert value_of(arguments, "--prometheus-port") == "9001"
    at = arguments.index("--worker-urls")
    assert tuple(arguments[at + 1 : at + 3]) == ENGINES


def test_only_one_router_schedules_programs_and_it_reads_what_the_calls_carry() -> None:
    scheduling = {name: "--enable-program-scheduling" in command_of(name)[1] for name in FRONTS}
    assert [name for name, on in scheduling.items() if on] == ["vllm-router programs"]
    settings = json.loads(value_of(command_of("vllm-router programs")[1], "--program-scheduling-config-json"))
    assert settings == {
        "program_scheduling_enable_key": "auto",
        "global_queue": True,
        "token_capacity_per_target": 65_536,
    }
    assert PEERS["vllm-router programs"].told.fields_for("p") == {
        "agent_hint": {"session_id": "p", "blocks_parent": False}
    }


def test_an_unknown_cache_is_not_told() -> None:
    place = Place(engines=ENGINES, shape=EngineShape(kv_tokens=None), port=1, metrics_port=2, key="")
    settings = value_of(command_of("vllm-router programs", place)[1], "--program-scheduling-config-json")
    assert "token_capacity_per_target" not in json.loads(settings)


def test_litellm_has_a_deployment_an_engine_and_fetches_nothing() -> None:
    _, arguments, environment, files = command_of("LiteLLM")
    config = yaml.safe_load(files[value_of(arguments, "--config")])
    assert [each["litellm_params"]["api_base"] for each in config["model_list"]] == [f"{url}/v1" for url in ENGINES]
    assert {each["model_name"] for each in config["model_list"]} == {"autellix-tiny"}
    assert environment["LITELLM_MASTER_KEY"] == "sk-test"
    assert environment["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"
    assert PEERS["LiteLLM"].wants_key


def test_ours_is_the_command_that_users_have() -> None:
    program, arguments, environment, _ = command_of("Autellix")
    assert [program, *arguments[:3]] == [sys.executable, "-m", "autellix", "up"]
    assert value_of(arguments, "--engine") == ",".join(ENGINES)
    assert environment == {"AUTELLIX_CHARS_PER_TOKEN": "1"}
    assert PEERS["Autellix"].told.headers_for("p") == {"x-session-id": "p"}


def test_nothing_else_is_told_of_programs() -> None:
    silent = [name for name, peer in PEERS.items() if not peer.told.headers_for("p") and not peer.told.fields_for("p")]
    assert set(PEERS) - set(silent) == {"vllm-router programs", "Autellix"}


def test_engines_differ_in_the_adapter_and_in_heeding_priorities_alone() -> None:
    stock, adapter = (engine_command(Path("python"), kind, EngineShape(slots=3), 8000) for kind in EngineKind)
    assert value_of(list(stock), "--max-num-seqs") == value_of(list(adapter), "--max-num-seqs") == "3"
    assert [each for each in stock if each not in adapter] == ["--stock", "--scheduling-policy", "priority"]
    assert [each for each in adapter if each not in stock] == []
    assert stock.index("--stock") < stock.index("--") < stock.index("--scheduling-policy")


def test_what_an_engine_is_told_beyond_goes_where_it_belongs() -> None:
    shape = EngineShape(adapter=("--beta", "2"), vllm=("--seed", "1"))
    stock, adapter = (engine_command(Path("python"), kind, shape, 8000) for kind in EngineKind)
    assert "--beta" not in stock
    assert adapter.index("--beta") < adapter.index("--")
    assert stock[-2:] == adapter[-2:] == ("--seed", "1")


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        (200, '{"status": "ready", "healthy_workers": 2, "total_workers": 2}', None),
        (200, '{"status": "ready", "healthy_workers": 0, "total_workers": 0}', "it sees 0 of its 2 engines"),
        (503, '{"status": "not ready", "healthy_workers": 1}', "it sees 1 of its 2 engines"),
        (502, "Bad gateway", "it answers with status 502: Bad gateway"),
        (200, "OK", "it says OK"),
        (200, "[]", "it says []"),
    ],
)
def test_a_router_is_ready_when_it_sees_all_engines(status: int, text: str, expected: str | None) -> None:
    assert lacks_a_router(status, text, PLACE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"table": "shared", "engines": {"a": {"up": true}, "b": {"up": true}}}', None),
        ('{"table": "shared", "engines": {"a": {"up": true}, "b": {"up": false}}}', "it sees 1 of its 2 engines"),
        ('{"table": "away", "engines": {"a": {"up": true}, "b": {"up": true}}}', "its Redis does not answer"),
        ('{"status": "healthy"}', 'it says {"status": "healthy"}'),
    ],
)
def test_our_gateway_is_ready_with_its_redis_and_all_engines(text: str, expected: str | None) -> None:
    assert lacks_autellix(200, text, PLACE) == expected


def test_a_status_may_be_all_there_is_to_say() -> None:
    assert lacks_an_answer(200, "", PLACE) is None
    assert lacks_an_answer(503, "db", PLACE) == "it answers with status 503: db"


def test_programs_are_found_above_or_where_the_environment_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder, name in ((".venv-peers", "vllm-router"), (".venv-engine", "python")):
        program = tmp_path / folder / "bin" / name
        program.parent.mkdir(parents=True)
        program.touch(mode=0o755)
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    there = tmp_path / ".venv-peers" / "bin"
    assert peer_program("vllm-router", {}, below) == there / "vllm-router"
    assert peer_program("vllm-router", {"AUTELLIX_PEERS": str(there)}, Path("/")) == there / "vllm-router"
    assert engine_python({}, below) == tmp_path / ".venv-engine" / "bin" / "python"
    monkeypatch.chdir(tmp_path)
    assert peer_program("vllm-router", {"AUTELLIX_PEERS": ".venv-peers/bin"}) == there / "vllm-router"
    with pytest.raises(PartMissing, match="There is no litellm here: run `make peers`"):
        peer_program("litellm", {}, below)
    with pytest.raises(PartMissing, match="There is no vLLM at /nowhere: run `make engine`"):
        engine_python({"AUTELLIX_ENGINE_PYTHON": "/nowhere"}, below)


def test_without_peers_a_test_is_skipped_and_fails_in_ci_unless_that_is_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTELLIX_PEERS", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delenv("AUTELLIX_WITHOUT_PEERS", raising=False)
    with pytest.raises(pytest.skip.Exception, match="run `make peers`"):
        installed_peers()
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="set AUTELLIX_WITHOUT_PEERS=1"):
        installed_peers()
    monkeypatch.setenv("AUTELLIX_WITHOUT_PEERS", "1")
    with pytest.raises(pytest.skip.Exception):
        installed_peers()
