"""The chart as its tests see it: rendered by helm, or refused."""

import functools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from autellix_chart.files import CHART

from cluster_binaries import binaries

__all__ = ["Refused", "Rendered", "helm", "lint", "pod_of", "rendered"]

_HELM_S = 60
_KUBERNETES = "1.33.0"
_TESTED_KINDS = "autellix.dev/v1alpha1/EnginePool"


class Refused(Exception):
    """Helm did not render; the message is what it said."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """The objects of one rendering."""

    objects: tuple[dict[str, Any], ...]

    def kind(self, kind: str) -> list[dict[str, Any]]:
        """All objects of that kind."""
        return [each for each in self.objects if each["kind"] == kind]

    def one(self, kind: str, component: str) -> dict[str, Any]:
        """The object of that kind whose name ends with the component's."""
        (found,) = (each for each in self.kind(kind) if each["metadata"]["name"].endswith(f"-{component}"))
        return found

    def has(self, kind: str, component: str) -> bool:
        """Whether there is such an object."""
        return any(each["metadata"]["name"].endswith(f"-{component}") for each in self.kind(kind))

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Each pod that something of it makes: whose, and its metadata and spec."""
        for each in self.objects:
            pod = pod_of(each)
            if pod is not None:
                yield f"{each['kind']}/{each['metadata']['name']}", pod


def pod_of(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The pod, with metadata and spec, that the object is or makes."""
    if given["kind"] == "Pod":
        return dict(given)
    template = given.get("spec", {}).get("template") if given["kind"] in ("Deployment", "StatefulSet", "Job") else None
    return dict(template) if template else None


@functools.cache
def helm() -> str:
    """``AUTELLIX_TEST_HELM``, else one on PATH, else the test clusters' own; without, the test is skipped or fails."""
    found = os.environ.get("AUTELLIX_TEST_HELM") or shutil.which("helm")
    return found or str(binaries().path("helm"))


def rendered(
    values: Mapping[str, Any] | None = None,
    *,
    release: str = "rel",
    namespace: str = "apps",
    files: tuple[str, ...] = (),
    upgrade: bool = False,
) -> Rendered:
    """The chart with these values, over those of ``files`` in the chart's folder.

    :raises Refused: if helm refuses them.
    """
    return _rendered(json.dumps(values or {}, sort_keys=True), release, namespace, files, upgrade)


def lint(values: Path) -> str:
    """What ``helm lint --strict`` says of these values.

    :raises Refused: if it finds fault.
    """
    return _helm("lint", "--strict", str(CHART), "--values", str(values), "--kube-version", _KUBERNETES)


@functools.cache
def _rendered(values: str, release: str, namespace: str, files: tuple[str, ...], upgrade: bool) -> Rendered:
    given = [part for name in files for part in ("--values", str(CHART / name))]
    place = ["--namespace", namespace, "--kube-version", _KUBERNETES, "--api-versions", _TESTED_KINDS]
    text = _helm(
        "template",
        release,
        str(CHART),
        *place,
        *(["--is-upgrade"] if upgrade else []),
        *given,
        "--values",
        "-",
        stdin=values,
    )
    return Rendered(tuple(each for each in yaml.safe_load_all(text) if each))


def _helm(*arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [helm(), *arguments], input=stdin, capture_output=True, text=True, timeout=_HELM_S, check=False
    )
    if done.returncode:
        raise Refused(f"{done.stderr}{done.stdout if arguments[0] == 'lint' else ''}")
    return done.stdout
