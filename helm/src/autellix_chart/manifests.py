"""``manifests/``: the chart rendered for those who do not use Helm, the same at every rendering."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from autellix_chart.files import CHART, ROOT

__all__ = ["FOLDER", "rendered"]

FOLDER = ROOT / "manifests"
_NAMESPACE = "autellix"
_KUBERNETES = "1.29.0"
"""The oldest that the chart is for; what is rendered depends on no version."""
_HELM_S = 60
_SECRETS = ("auth.existingSecret=autellix-keys", "redis.auth.existingSecret=autellix-redis")
_KINDS = "autellix.dev/v1alpha1/EnginePool"
_INTRODUCTION = """\
# Made by `make manifests` out of helm/autellix{of}; change the chart, not this file.
# It expects the namespace `autellix`, the kinds of crds.yaml, and two Secrets of yours:
#   kubectl create namespace autellix
#   kubectl apply --server-side -f crds.yaml
#   kubectl -n autellix create secret generic autellix-keys --from-literal=session-secret="$(openssl rand -hex 24)" \\
#     --from-literal=operator-key="$(openssl rand -hex 24)"
#   kubectl -n autellix create secret generic autellix-redis --from-literal=password="$(openssl rand -hex 24)"
#   kubectl apply -f {name}
"""
_CRDS_INTRODUCTION = """\
# Made by `make manifests`: the kinds ProgramSession and EnginePool.
#   kubectl apply --server-side -f crds.yaml
"""


def rendered(helm: Path) -> Mapping[str, str]:
    """The files' names and texts, rendered by this helm."""
    crds = _template(helm, "--show-only", "templates/crds/*.yaml")
    return {
        "crds.yaml": _CRDS_INTRODUCTION + crds,
        "install.yaml": _introduction("install.yaml", "") + _installed(helm),
        "sim.yaml": _introduction("sim.yaml", " with values-sim.yaml")
        + _installed(helm, "--values", str(CHART / "values-sim.yaml")),
    }


def _introduction(name: str, of: str) -> str:
    return _INTRODUCTION.format(name=name, of=of)


def _installed(helm: Path, *arguments: str) -> str:
    secrets = [part for each in _SECRETS for part in ("--set", each)]
    plain = ("--no-hooks", "--set", "hooks.enabled=false", "--set", "crds.install=false", "--api-versions", _KINDS)
    return _template(helm, *plain, *secrets, *arguments)


def _template(helm: Path, *arguments: str) -> str:
    chart = ["template", "autellix", str(CHART), "--namespace", _NAMESPACE, "--kube-version", _KUBERNETES]
    done = subprocess.run([str(helm), *chart, *arguments], capture_output=True, text=True, check=False, timeout=_HELM_S)  # noqa: S603
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    # Nothing here is Helm's to manage, nor does the chart's file name mean anything.
    text = re.sub(r"^# Source: .*\n", "", done.stdout, flags=re.MULTILINE)
    text = re.sub(r"^ +annotations:\n +helm\.sh/resource-policy: .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^ +helm\.sh/chart: .*\n", "", text, flags=re.MULTILINE)
    return text.replace("app.kubernetes.io/managed-by: Helm", "app.kubernetes.io/managed-by: kubectl")
