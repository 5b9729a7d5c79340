"""The engine's command line: what vLLM will be started with."""

import json
import sys
from pathlib import Path

import pytest

from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_engine import __main__ as command
from autellix_engine import launch as launching
from autellix_engine.launch import MIDDLEWARE, SCHEDULER, Launch
from autellix_engine.settings import CONFIG_KEY, Settings


def value_of(arguments: list[str], flag: str) -> str:
    return arguments[len(arguments) - 1 - arguments[::-1].index(flag) + 1]


def test_the_adapter_is_in_by_two_public_flags() -> None:
    arguments = launching.arguments(Launch(), Path("/models/tiny"))
    assert arguments[:2] == [sys.executable, "-m"]
    assert value_of(arguments, "--scheduler-cls") == SCHEDULER
    assert value_of(arguments, "--middleware") == MIDDLEWARE
    assert value_of(arguments, "--model") == "/models/tiny"


def test_stock_vllm_gets_the_same_command_line_without_the_adapter() -> None:
    ours, stock = (
        launching.arguments(Launch(cpu=True, stock=stock, extra=("--max-num-seqs", "8")), "m")
        for stock in (False, True)
    )
    left_out = [each for each in ours if each not in stock]
    assert left_out[:4] == ["--scheduler-cls", SCHEDULER, "--middleware", MIDDLEWARE]
    assert left_out[4] == "--additional-config"
    assert len(left_out) == 6
    assert [each for each in ours if each in stock] == stock
    assert command.parse(["--stock"]).stock


def test_settings_travel_as_additional_config() -> None:
    settings = Settings(policy=Policy.PLAS, levels=Levels((1.0,), (1.0, 2.0), beta=3.0), decide_every_steps=4)
    arguments = launching.arguments(Launch(settings=settings), "m")
    assert Settings.from_config(json.loads(value_of(arguments, "--additional-config"))) == settings


@pytest.mark.parametrize(
    ("launch", "name"),
    [
        (Launch(), "autellix-tiny"),
        (Launch(model="/models/llama-8b"), "llama-8b"),
        (Launch(model="org/llama-8b"), "llama-8b"),
        (Launch(model="org/llama-8b", served_name="org/llama-8b"), "org/llama-8b"),
    ],
)
def test_the_served_name(launch: Launch, name: str) -> None:
    assert launch.name == name
    assert value_of(launching.arguments(launch, "m"), "--served-model-name") == name


def test_extra_arguments_come_last_and_win() -> None:
    launch = Launch(cpu=True, extra=("--block-size", "64"))
    arguments = launching.arguments(launch, "m")
    assert arguments[-2:] == ["--block-size", "64"]
    assert arguments.count("--block-size") == 2


def test_what_is_only_for_the_tiny_model_on_a_cpu_is_not_for_others() -> None:
    tiny = launching.arguments(Launch(cpu=True), "m")
    other = launching.arguments(Launch(cpu=True, model="org/big"), "m")
    gpu = launching.arguments(Launch(), "m")
    assert value_of(tiny, "--block-size") == value_of(other, "--block-size") == "32"
    assert int(value_of(tiny, "--kv-cache-memory-bytes")) < int(value_of(other, "--kv-cache-memory-bytes"))
    assert "uni" in tiny
    assert {"uni", "--enforce-eager", "--dtype"}.isdisjoint(other)
    assert {"uni", "--enforce-eager", "--dtype", "--kv-cache-memory-bytes", "--block-size"}.isdisjoint(gpu)
    assert "OMP_NUM_THREADS" not in launching.environment(Launch(cpu=True, model="org/big"), {})


def test_a_gpu_keeps_the_kv_of_preempted_calls_in_host_memory_decoded_blocks_included() -> None:
    arguments = launching.arguments(Launch(model="org/big"), "m")
    assert value_of(arguments, "--kv-offloading-size") == "4"
    connector = json.loads(value_of(arguments, "--kv-transfer-config"))
    assert connector["kv_connector_extra_config"] == {"offload_prompt_only": False}
    assert value_of(launching.arguments(Launch(offload_gib=2.5), "m"), "--kv-offloading-size") == "2.5"


@pytest.mark.parametrize(
    "launch",
    [
        Launch(cpu=True),
        Launch(cpu=True, model="org/big"),
        Launch(offload_gib=0.0),
        Launch(extra=("--kv-offloading-size", "3")),
        Launch(extra=("--kv-offloading-size=3",)),
        Launch(extra=("--kv_transfer_config", "{}")),
    ],
    ids=["tiny on a CPU", "another model on a CPU", "none wanted", "own size", "own size in one word", "own connector"],
)
def test_kv_offloading_is_left_alone_where_it_cannot_work_or_is_the_users(launch: Launch) -> None:
    ours = launching.arguments(launch, "m")[: -len(launch.extra) or None]
    assert not any("kv-offloading" in each or "kv-transfer" in each for each in ours)


def test_quiet_unless_told_otherwise() -> None:
    assert launching.environment(Launch(), {})["VLLM_LOGGING_LEVEL"] == "WARNING"
    assert launching.environment(Launch(cpu=True), {})["VLLM_LOGGING_LEVEL"] == "ERROR"
    assert "VLLM_LOGGING_LEVEL" not in launching.environment(Launch(verbose=True), {})
    assert "--disable-uvicorn-access-log" not in launching.arguments(Launch(verbose=True), "m")


def test_no_usage_is_reported_and_the_given_environment_wins() -> None:
    environment = launching.environment(Launch(cpu=True), {"OMP_NUM_THREADS": "8", "PATH": "/bin"})
    assert environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["OMP_NUM_THREADS"] == "8"
    assert environment["PATH"] == "/bin"


def test_only_a_local_model_is_loaded_offline(tmp_path: Path) -> None:
    assert launching.environment(Launch(), {})["HF_HUB_OFFLINE"] == "1"
    assert launching.environment(Launch(model=str(tmp_path)), {})["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in launching.environment(Launch(model="org/model"), {})


class TestParse:
    def test_everything_can_be_said(self) -> None:
        line = (
            "--model m --served-model-name n --host 0.0.0.0 --port 8123 --policy plas --level-bounds 1,2 "
            "--level-quanta 1,1,5 --beta 2.5 --decide-every 4 --most-preemptions 2 --offload-gib 3 --verbose "
            "-- --max-num-seqs 2"
        )
        launch = command.parse(line.split())
        assert (launch.model, launch.name, launch.host, launch.port) == ("m", "n", "0.0.0.0", 8123)
        assert launch.settings.policy is Policy.PLAS
        assert launch.settings.levels == Levels((1.0, 2.0), (1.0, 1.0, 5.0), beta=2.5)
        assert (launch.settings.decide_every_steps, launch.settings.most_preemptions) == (4, 2)
        assert launch.offload_gib == 3.0
        assert launch.verbose
        assert list(launch.extra) == ["--max-num-seqs", "2"]

    def test_nothing_need_be_said(self) -> None:
        launch = command.parse([])
        assert launch.settings == Settings()
        assert launch.host == "127.0.0.1"
        assert list(launch.extra) == []

    @pytest.mark.parametrize(
        ("line", "sentence"),
        [
            ("--level-bounds 2,1", "ascending"),
            ("--level-bounds one", "could not convert"),
            ("--level-bounds 1 --level-quanta 1", "2 levels"),
            ("--beta -1", "Beta"),
            ("--beta nan", "Beta"),
            ("--decide-every 0", "at least 1"),
            ("--policy best", "invalid choice"),
            ("--model /no/such/model", "there is no model at /no/such/model"),
            ("--offload-gib -1", "0 or more, not -1"),
            ("--port 70000", "between 1 and 65535"),
            ("--max-num-seqs 2", "unrecognized arguments"),
        ],
    )
    def test_what_cannot_work_is_said_in_a_sentence(
        self, line: str, sentence: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(SystemExit) as ended:
            command.parse(line.split())
        assert ended.value.code == 2
        assert sentence in capsys.readouterr().err


def test_without_vllm_it_says_so() -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["--model", "org/model"])
    assert "vLLM is not installed" in str(ended.value.code)


def test_where_the_tiny_model_cannot_be_written_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AUTELLIX_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(command, "_installed", lambda _: True)
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert "AUTELLIX_CACHE" in str(ended.value.code)


def test_settings_survive_json() -> None:
    settings = Settings(levels=Levels.geometric(count=3, beta=0.5), most_preemptions=9)
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings


def test_wrong_settings_name_where_they_belong() -> None:
    with pytest.raises(ValueError, match=CONFIG_KEY):
        Settings.from_config({CONFIG_KEY: [1]})
