"""A cluster that somebody gives to the tests, which they refuse unless it is one for tests."""

import fnmatch
import os
from pathlib import Path

import pytest

from cluster_access import Cluster
from cluster_binaries import Binaries

__all__ = ["given_cluster"]

_FOR_TESTS = "kind-*,minikube,autellix-test"


def given_cluster(context: str, scratch: Path) -> Cluster:
    """Access to the cluster that this context of the kubeconfig stands for.

    Stops the test run if the context's name is on no list of clusters for tests: the tests make and delete what they
    like in it.
    """
    allowed = os.environ.get("AUTELLIX_TEST_KUBE_CONTEXTS", _FOR_TESTS).split(",")
    if not any(fnmatch.fnmatchcase(context, each.strip()) for each in allowed):
        pytest.exit(
            f"The context {context} is not a cluster for tests ({', '.join(allowed)}); name it in "
            "AUTELLIX_TEST_KUBE_CONTEXTS if the tests may do in it what they like.",
            returncode=pytest.ExitCode.USAGE_ERROR,
        )
    kubeconfig = Path(os.environ.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return Cluster(kubeconfig, Binaries(()), scratch, context=context)
