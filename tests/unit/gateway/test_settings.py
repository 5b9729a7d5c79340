"""The gateway's settings: flags, environment, defaults; and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from autellix_core.placement import LeastUsed, Local, RoundRobin
from autellix_core.priority import Policy
from autellix_gateway.config_file import ConfigRefused, schema
from autellix_gateway.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENGINES", "POLICY", "SESSION_SECRET", "SESSION_SECRETS", "API_KEYS", "REDIS_URL", "PORT", "CONFIG"):
        monkeypatch.delenv(f"AUTELLIX_{name}", raising=False)


def test_flags_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_ENGINES", "http://a:1, http://b:2/v1/")
    monkeypatch.setenv("AUTELLIX_POLICY", "plas")
    monkeypatch.setenv("AUTELLIX_SESSION_SECRET", "new,old")
    settings = Settings(_cli_parse_args=["--policy", "mlfq", "--chars-per-token", "1"])
    assert settings.engines == ("http://a:1", "http://b:2")
    assert (settings.policy, settings.chars_per_token) == (Policy.MLFQ, 1.0)
    assert [secret.get_secret_value() for secret in settings.session_secrets] == ["new", "old"]


def test_engines_may_be_given_as_a_flag() -> None:
    settings = Settings(_cli_parse_args=["--engines", "http://a:1,http://b:2"])
    assert settings.engines == ("http://a:1", "http://b:2")


@pytest.mark.parametrize(
    ("placement", "policy"),
    [("local", Local(100, 3)), ("least", LeastUsed()), ("round-robin", RoundRobin())],
)
def test_placement_by_name(placement: str, policy: object) -> None:
    settings = Settings(engines=("http://a:1",), placement=placement, short_tokens=100, overflow_calls=3)
    assert settings.placement_policy() == policy


def test_the_engines_levels() -> None:
    assert Settings(engines=("http://a:1",), levels=3).engine_levels().bounds_s == (0.25, 0.5)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"engines": ()}, "no engine is given", id="no-engine"),
        pytest.param({"engines": ("a:1",)}, "base URL", id="no-url"),
        pytest.param({"engines": ("http://a:1",), "placement": "best"}, "placement is one of", id="placement"),
        pytest.param({"engines": ("http://a:1",), "policy": "best"}, "policy", id="policy"),
        pytest.param({"engines": ("http://a:1",), "pool": "a b"}, "pool", id="pool"),
        pytest.param({"engines": ("http://a:1",), "lease_s": 0}, "lease_s", id="lease"),
        pytest.param({"engines": ("http://a:1",), "leases": 1}, "leases", id="unknown"),
    ],
)
def test_settings_that_cannot_work(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(**fields)  # type: ignore[arg-type]


def test_the_process_says_what_is_wrong_with_a_flag_and_ends() -> None:
    command = [sys.executable, "-m", "autellix_gateway", "--engines", "http://a:1", "--lease-s", "-1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("autellix gateway: --lease-s: ")
    assert "Traceback" not in done.stderr


def written(folder: Path, text: str) -> str:
    """A configuration file."""
    path = folder / "gateway.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_flags_and_environment_come_before_the_file_and_it_before_the_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(
        tmp_path,
        "engines: [http://a:1, http://b:2/v1]\nport: 1\nlevels: 2\nshort_tokens: 3\npolicy: plas\noverflow_calls:\n",
    )
    monkeypatch.setenv("AUTELLIX_LEVELS", "20")
    monkeypatch.setenv("AUTELLIX_PORT", "10")

    settings = Settings(_cli_parse_args=["--config", path, "--port", "100"])

    assert (settings.port, settings.levels, settings.short_tokens) == (100, 20, 3)
    assert settings.engines == ("http://a:1", "http://b:2")
    assert (settings.policy, settings.overflow_calls) == (Policy.PLAS, None)


def test_the_environment_may_name_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_CONFIG", written(tmp_path, "engines: http://a:1,http://b:2\n"))
    assert Settings().engines == ("http://a:1", "http://b:2")


def test_an_empty_file_is_no_setting(tmp_path: Path) -> None:
    assert Settings(config=written(tmp_path, "# nothing\n"), engines=("http://a:1",)).port == 8080


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("leases: 1", "'leases', which is no setting; see --print-schema", id="unknown"),
        pytest.param("lease-s: 1", "'lease-s', which is no setting", id="kebab"),
        pytest.param("7: 1", "7, which is no setting", id="number"),
        pytest.param("config: other.yaml", "'config', which is no setting", id="another-file"),
        pytest.param("operator_key: k", "secret 'operator_key'.*as AUTELLIX_OPERATOR_KEY", id="operator-key"),
        pytest.param("api_keys: [k]", "secret 'api_keys'.*as AUTELLIX_API_KEYS", id="api-keys"),
        pytest.param("session_secrets: [k]", "secret 'session_secrets'.*SESSION_SECRETS", id="session-secrets"),
        pytest.param("engine_api_key: k", "secret 'engine_api_key'", id="engine-key"),
        pytest.param("redis_url: redis://:pw@redis:6379", "password in 'redis_url'.*REDIS_URL", id="redis"),
        pytest.param("- port", "holds no settings by name", id="list"),
        pytest.param("a: b: c", "is not YAML", id="no-yaml"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigRefused, match=says):
        Settings(config=written(tmp_path, text), engines=("http://a:1",))


def test_a_file_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigRefused, match=r"gateway\.yaml cannot be read: No such file"):
        Settings(config=str(tmp_path / "gateway.yaml"), engines=("http://a:1",))


def test_a_value_in_the_file_that_cannot_work_is_refused_as_a_flag_is(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="lease_s"):
        Settings(config=written(tmp_path, "lease_s: -1"), engines=("http://a:1",))


def test_the_schema_is_of_what_a_file_may_hold() -> None:
    of = schema(Settings)

    assert of["additionalProperties"] is False
    assert set(of["properties"]) == set(Settings.model_fields) - {
        "config",
        "session_secrets",
        "api_keys",
        "engine_api_key",
        "operator_key",
        "redis_password",
    }
    assert all(field.get("description") for field in of["properties"].values())
    assert of["properties"]["port"]["maximum"] == 65535
    assert of["properties"]["placement"]["enum"] == ["local", "least", "round-robin"]


def test_the_process_prints_the_schema() -> None:
    command = [sys.executable, "-m", "autellix_gateway", "--print-schema"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout) == schema(Settings)


def test_the_process_says_what_is_wrong_with_the_file_and_ends(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "autellix_gateway", "--config", written(tmp_path, "leases: 1")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("autellix gateway: The configuration file ")
    assert "Traceback" not in done.stderr
