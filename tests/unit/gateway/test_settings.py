"""The gateway's settings: flags, environment, defaults; and what is refused."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from autellix_core.placement import LeastUsed, Local, RoundRobin
from autellix_core.priority import Policy
from autellix_gateway.settings import Settings


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (
        "ENGINES",
        "KUBERNETES_NAMESPACE",
        "POLICY",
        "SESSION_SECRET",
        "SESSION_SECRETS",
        "API_KEYS",
        "REDIS_URL",
        "PORT",
    ):
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


def test_engines_may_be_found_in_a_namespace() -> None:
    settings = Settings(_cli_parse_args=["--kubernetes-namespace", "agents"])
    assert (settings.kubernetes_namespace, settings.engines) == ("agents", ())


def test_without_kubernetes_its_client_is_not_loaded() -> None:
    code = "import sys, autellix_gateway.__main__; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"engines": ()}, "no engine is given", id="no-engine"),
        pytest.param({"engines": ("a:1",)}, "base URL", id="no-url"),
        pytest.param(
            {"engines": ("http://a:1",), "kubernetes_namespace": "ns"}, "either listed or found", id="two-places"
        ),
        pytest.param({"kubernetes_namespace": "N S"}, "kubernetes_namespace", id="no-namespace"),
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
