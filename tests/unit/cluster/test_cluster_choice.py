"""Which cluster the Kubernetes tests take, and what they say where there is none."""

from pathlib import Path

import pytest

import cluster_binaries
from cluster_binaries import Binaries, binaries
from cluster_build import BuildFailed
from cluster_given import given_cluster


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "CI",
        "KUBEBUILDER_ASSETS",
        "AUTELLIX_TEST_CLUSTER_BUILD",
        "AUTELLIX_TEST_KUBE_CONTEXTS",
        "KUBECONFIG",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("context", ["production", "kindly", "Minikube", ""])
def test_a_cluster_that_is_not_for_tests_is_refused(context: str, tmp_path: Path) -> None:
    with pytest.raises(pytest.exit.Exception, match=r"AUTELLIX_TEST_KUBE_CONTEXTS"):
        given_cluster(context, tmp_path)


@pytest.mark.parametrize("context", ["kind-autellix", "minikube", "autellix-test"])
def test_the_usual_ones_for_tests_are_taken(context: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    taken = given_cluster(context, tmp_path)
    assert (taken.context, taken.kubeconfig) == (context, tmp_path / "config")


def test_others_are_taken_when_they_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTELLIX_TEST_KUBE_CONTEXTS", "staging-?, mine")
    assert given_cluster("staging-2", tmp_path).context == "staging-2"
    assert given_cluster("mine", tmp_path).context == "mine"
    with pytest.raises(pytest.exit.Exception):
        given_cluster("minikube", tmp_path)


def test_without_a_cluster_the_tests_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(pytest.skip.Exception, match=r"AUTELLIX_TEST_CLUSTER_BUILD=1"):
        binaries()
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(cluster_binaries, "go", lambda: None)
    with pytest.raises(pytest.fail.Exception, match=r"install Go"):
        binaries()


def test_it_is_built_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AUTELLIX_TEST_CLUSTER_BUILD", "1")
    monkeypatch.setattr(cluster_binaries, "go", lambda: "/usr/bin/go")
    monkeypatch.setattr(cluster_binaries, "build", lambda: (tmp_path,))
    assert binaries() == Binaries((tmp_path,))

    def fails() -> tuple[Path, ...]:
        raise BuildFailed("kube could not be built.")

    monkeypatch.setattr(cluster_binaries, "build", fails)
    with pytest.raises(pytest.fail.Exception, match=r"kube could not be built\."):
        binaries()


def test_programs_that_are_given_are_taken_before_those_on_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    (tmp_path / "sh").write_text("#!/bin/sh\n")
    (tmp_path / "sh").chmod(0o755)
    assert binaries().path("sh") == tmp_path / "sh"
    assert binaries().path("env").name == "env"
    with pytest.raises(pytest.skip.Exception, match=r"There is no kube-nothing in"):
        binaries().path("kube-nothing")
