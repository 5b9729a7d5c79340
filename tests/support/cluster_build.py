"""Builds Kubernetes for the tests, once a machine, of the Go modules that ``tests/cluster/binaries`` pins.

``python tests/support/cluster_build.py`` does so ahead of the tests, with any Python; nothing but Go is needed. Cold it
takes ten minutes of two cores, and a minute where Go's build cache has the packages.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BuildFailed", "build", "built", "cache", "exclusively", "go"]

_SOURCES = Path(__file__).parents[1] / "cluster" / "binaries"
_STAGES = ("node/fast", "node/heartbeat-with-lease", "pod/fast")
"""How kwok's nodes and pods come to be ready, as files of its module."""


class BuildFailed(Exception):
    """A program could not be built; the message ends with what Go said."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A folder of ``tests/cluster/binaries``: a program, and the names that it goes by."""

    module: str
    program: str
    package: str = "."
    links: tuple[str, ...] = ()
    pin: str = ""
    """The module whose version the program tells as its own."""
    version_in: tuple[str, ...] = ()
    """Go variables, or packages of Kubernetes, that hold that version."""


_KUBERNETES = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
_PARTS = (
    _Part("pause", "pause"),
    _Part(
        "kube",
        "kubernetes",
        links=_KUBERNETES,
        pin="k8s.io/kubernetes",
        version_in=("k8s.io/component-base/version", "k8s.io/client-go/pkg/version"),
    ),
    _Part(
        "helm",
        "helm",
        package="helm.sh/helm/v3/cmd/helm",
        pin="helm.sh/helm/v3",
        version_in=("helm.sh/helm/v3/internal/version.version",),
    ),
    _Part("kwok", "kwok", package="sigs.k8s.io/kwok/cmd/kwok"),
    _Part("dns", "coredns"),
)


def cache() -> Path:
    """Where everything is kept that takes long to make; outside of the checkout, so that all checkouts share it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autellix" / "cluster"


def go() -> str | None:
    """The ``go`` command, if this machine has one: on PATH, else where Go's own installer puts it."""
    return shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")


def built() -> tuple[Path, ...] | None:
    """The folders with all programs, if each is there and of the present sources."""
    folders = tuple(_folder(part) for part in _PARTS)
    return folders if all(folder.is_dir() for folder in folders) else None


def build() -> tuple[Path, ...]:
    """Build what is missing and give the folders. One process builds at a time; others wait for it.

    :raises BuildFailed: with a sentence.
    """
    for part in _PARTS:
        if not _folder(part).is_dir():
            with exclusively(cache() / "build.lock"):
                if not _folder(part).is_dir():
                    _build(part)
    return tuple(_folder(part) for part in _PARTS)


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Hold the lock that this file stands for; it ends with the process, however that ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _folder(part: _Part) -> Path:
    """Where its program is kept: named by what it is built of, so that a change of the sources is another folder."""
    digest = hashlib.sha256(repr(part).encode())
    for path in sorted((_SOURCES / part.module).iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return cache() / f"{part.module}-{digest.hexdigest()[:12]}"


def _build(part: _Part) -> None:
    command = go()
    if command is None:
        raise BuildFailed("There is no go command: install Go 1.26 or newer.")
    source = _SOURCES / part.module
    with tempfile.TemporaryDirectory(prefix=f"{part.module}-", dir=cache()) as scratch:
        made = Path(scratch) / "made"
        made.mkdir()
        flags = ("-trimpath", "-buildvcs=false", "-mod=readonly", "-ldflags", " ".join(("-s -w", *_version(part))))
        _run([command, "build", *flags, "-o", str(made / part.program), part.package], source)
        for link in part.links:
            (made / link).symlink_to(part.program)
        if part.module == "kwok":
            module = Path(_run([command, "list", "-m", "-f", "{{.Dir}}", "sigs.k8s.io/kwok"], source).strip())
            stages = [file for each in _STAGES for file in sorted((module / "kustomize/stage" / each).glob("*.yaml"))]
            texts = (file.read_text() for file in stages if file.name != "kustomization.yaml")
            (made / "stages.yaml").write_text("\n---\n".join(texts))
        made.rename(_folder(part))


def _version(part: _Part) -> Iterator[str]:
    """Linker flags for the version that go.mod pins: without, Kubernetes says v0.0.0 and charts refuse it."""
    if not part.pin:
        return
    text = (_SOURCES / part.module / "go.mod").read_text()
    found = re.search(rf"^\s*{re.escape(part.pin)} (v(\d+)\.(\d+)\.\S+)", text, re.MULTILINE)
    if found is None:
        raise BuildFailed(
            f"The go.mod of {part.module} does not say which {part.pin} it takes; add it to its requirements."
        )
    version, major, minor = found.groups()
    for target in part.version_in:
        if target.endswith("/version"):
            values = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
            yield from (f"-X {target}.{name}={value}" for name, value in values.items())
        else:
            yield f"-X {target}={version}"


def _run(command: list[str], source: Path) -> str:
    """What Go wrote to its output.

    :raises BuildFailed: if it failed.
    """
    done = subprocess.run(
        command,
        cwd=source,
        env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BuildFailed(f"{source.name} of the test cluster could not be built. Go said:\n{done.stderr[-4000:]}")
    return done.stdout


if __name__ == "__main__":
    try:
        sys.stdout.write("".join(f"{folder}\n" for folder in build()))
    except BuildFailed as error:
        sys.exit(str(error))
