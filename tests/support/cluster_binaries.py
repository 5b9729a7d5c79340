"""Which programs the tests run Kubernetes of: those that are given, those that were built before, or built now."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from cluster_build import BuildFailed, build, built, cache, go

__all__ = ["Binaries", "binaries", "missing"]

_WHAT_TO_SET = (
    "set AUTELLIX_TEST_CLUSTER_BUILD=1 to build one (ten minutes, once; asks for Go 1.26 or newer), KUBEBUILDER_ASSETS "
    "to a folder with etcd and kube-apiserver, or give a cluster with --kube-context NAME"
)


def missing(why: str) -> NoReturn:
    """Skip the test for this reason; where CI is set it fails."""
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


@dataclass(frozen=True, slots=True)
class Binaries:
    """Folders with programs; the first that has one counts, and PATH comes last."""

    folders: tuple[Path, ...]

    def find(self, name: str) -> Path | None:
        """Where the program of that name is, if it is anywhere."""
        found = shutil.which(name, path=os.pathsep.join(map(str, self.folders))) or shutil.which(name)
        return None if found is None else Path(found)

    def path(self, name: str) -> Path:
        """The same; without one the test is skipped, or fails where CI is set."""
        found = self.find(name)
        if found is None:
            missing(f"There is no {name} in {', '.join(map(str, self.folders))} or on PATH; {_WHAT_TO_SET}.")
        return found


def binaries() -> Binaries:
    """What to run; if there is nothing the test is skipped, or fails where CI is set."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets:
        return Binaries((Path(assets),))
    folders = built()
    if folders is None and (os.environ.get("AUTELLIX_TEST_CLUSTER_BUILD") == "1" or os.environ.get("CI")):
        if go() is None:
            missing("There is no go command to build a test cluster with; install Go 1.26 or newer.")
        try:
            folders = build()
        except BuildFailed as error:
            pytest.fail(str(error), pytrace=False)
    if folders is None:
        missing(f"There is no Kubernetes in {cache()}; {_WHAT_TO_SET}.")
    return Binaries(folders)
