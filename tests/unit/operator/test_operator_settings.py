"""The operator's settings: flags, environment, defaults; and what is refused."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from autellix_operator.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NAMESPACES", "OWN_NAMESPACE", "KEY", "GATEWAY_URL"):
        monkeypatch.delenv(f"AUTELLIX_OPERATOR_{name}", raising=False)


def test_flags_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_OPERATOR_NAMESPACES", "a, b")
    monkeypatch.setenv("AUTELLIX_OPERATOR_KEY", "secret")
    monkeypatch.setenv("AUTELLIX_OPERATOR_POLL_INTERVAL_S", "7")
    settings = Settings(_cli_parse_args=["--poll-interval-s", "1", "--gateway-url", "http://gw:8080/"])
    assert (settings.namespaces, settings.poll_interval_s) == (("a", "b"), 1.0)
    assert settings.key is not None
    assert settings.key.get_secret_value() == "secret"
    assert (settings.gateway_url, settings.url_for_sessions) == ("http://gw:8080", "http://gw:8080/v1")


@pytest.mark.parametrize(
    ("namespaces", "served", "mirrors"),
    [
        pytest.param("", ("own",), "own", id="own"),
        pytest.param("*", ("",), "own", id="everywhere"),
        pytest.param("a,own", ("a", "own"), "own", id="own-among-them"),
        pytest.param("a,b", ("a", "b"), "a", id="others"),
    ],
)
def test_which_namespaces_are_served(namespaces: str, served: tuple[str, ...], mirrors: str) -> None:
    settings = Settings(_cli_parse_args=[f"--namespaces={namespaces}", "--own-namespace=own"])
    assert (settings.served, settings.mirror_namespace) == (served, mirrors)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"namespaces": "*,a"}, "not both", id="both"),
        pytest.param({"gateway_url": "gw:8080"}, "base URL", id="url"),
        pytest.param({"writes_per_s": 0}, "writes_per_s", id="writes"),
        pytest.param({"lease_name": "A_b"}, "lease_name", id="lease"),
        pytest.param({"leases": 1}, "leases", id="unknown"),
    ],
)
def test_settings_that_cannot_work(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Settings(**fields)  # type: ignore[arg-type]


def test_the_process_says_what_is_wrong_with_a_flag_and_ends() -> None:
    command = [sys.executable, "-m", "autellix_operator", "--writes-per-s", "-1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("autellix operator: --writes-per-s: ")
    assert "Traceback" not in done.stderr
