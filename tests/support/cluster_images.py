"""Our images for the cluster's node, built of the Dockerfiles as they are, on a base of this machine's own Debian.

No registry is asked: the base stands for the Python image that users build on. Everything is kept in the cache by what
it is built of; a change of our code costs seconds, the base a minute, once.
"""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from cluster_binaries import Binaries
from cluster_build import cache, exclusively

__all__ = ["IMAGES", "PAUSE", "build_archives"]

_ROOT = Path(__file__).parents[2]
_MEMBERS = {"gateway": ("gateway",), "operator": ("operator",), "engine-sim": ("bench", "engine-image")}
"""Whose code is in an image, besides the core's; the first has the Dockerfile."""
IMAGES: Mapping[str, str] = {
    **{name: f"localhost/autellix-{name}:test" for name in _MEMBERS},
    "redis": "localhost/redis:test",
}
"""What the images are called in the cluster, by what is in them."""
PAUSE = "localhost/pause:test"
"""The one that holds a pod's namespaces."""

_KEPT_S = 86_400.0
"""An image that was not used for so long is removed when it is built anew."""
_PACKAGES = "ca-certificates,python3,python3-venv,python3-pip,redis-server"
_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_PAUSE = "pause"
_OWN = {
    "redis": """ARG BASE
FROM ${BASE}
USER 10001:0
EXPOSE 6379
CMD ["redis-server", "--save", "", "--protected-mode", "no"]
""",
    _PAUSE: """FROM scratch
COPY pause /pause
ENTRYPOINT ["/pause"]
""",
}
"""The Dockerfiles of what only the tests need."""


def build_archives(binaries: Binaries) -> list[Path]:
    """A tar file for each image, for ``ctr images import``. Fails the test run if one cannot be built."""
    pause = binaries.path("pause")
    made = [_archive(name, [pause] if name == _PAUSE else _sources(name)) for name in (*IMAGES, _PAUSE)]
    if not all(archive.is_file() for archive in made):
        with exclusively(cache() / "images.lock"):
            for name, archive in zip((*IMAGES, _PAUSE), made, strict=True):
                if not archive.is_file():
                    _build(name, pause, archive)
    for archive in made:
        archive.touch()
    return made


def _archive(name: str, sources: Iterable[Path]) -> Path:
    """Where an image's archive is: named by what it is built of."""
    digest = hashlib.sha256(repr((_OWN, _base())).encode())
    for path in sorted(sources):
        if path.is_file():
            digest.update(str(path).removeprefix(str(_ROOT)).encode() + b"\0" + path.read_bytes())
    return cache() / "images" / f"{name}-{digest.hexdigest()[:12]}.tar"


def _sources(name: str) -> Iterator[Path]:
    """All that an image of ours is made of."""
    if name in _MEMBERS:
        yield _ROOT / _MEMBERS[name][0] / "Dockerfile"
        yield from (_ROOT / "requirements").glob("*.txt")
        for member in ("core", *_MEMBERS[name]):
            yield from (path for path in (_ROOT / member / "src").rglob("*") if "__pycache__" not in path.parts)


def _build(name: str, pause: Path, archive: Path) -> None:
    archive.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="image-", dir=cache()) as scratch:
        if name in _MEMBERS:
            dockerfile, context = _ROOT / _MEMBERS[name][0] / "Dockerfile", _ROOT
        else:
            context = Path(scratch) / "context"
            context.mkdir()
            shutil.copy2(pause, context / "pause")
            dockerfile = context / "Dockerfile"
            dockerfile.write_text(_OWN[name])
        if name != _PAUSE:
            _build_base()
        tag = PAUSE if name == _PAUSE else IMAGES[name]
        _bud(tag, dockerfile, context)
        layout = Path(scratch) / "layout"
        _buildah("push", "--quiet", tag, f"oci:{layout}:{tag}")
        _name_for_containerd(layout / "index.json")
        with tarfile.open(Path(scratch) / "image.tar", "w") as tar:
            for path in sorted(layout.iterdir()):
                tar.add(path, path.name)
        for other in archive.parent.glob(f"{name}-{'?' * 12}.tar"):  # another checkout's tests may be about to use it
            if other.stat().st_mtime < time.time() - _KEPT_S:
                other.unlink()
        (Path(scratch) / "image.tar").rename(archive)


def _bud(name: str, dockerfile: Path, context: Path) -> None:
    """Build an image as ``docker build`` would, with layers kept for the next time."""
    trusted = "/etc/ssl/certs:/etc/ssl/certs:ro"  # whom this machine trusts when it asks for packages
    flags = ("--layers", "--pull-never", "--isolation=chroot", f"--volume={trusted}", f"--build-arg=BASE={_base()}")
    _buildah("bud", "--quiet", *flags, f"--file={dockerfile}", f"--tag={name}", str(context))


def _name_for_containerd(index: Path) -> None:
    """Say the whole name of each image where containerd looks for it; else it would take the tag alone."""
    content = json.loads(index.read_text())
    for manifest in content["manifests"]:
        notes = manifest["annotations"]
        notes["io.containerd.image.name"] = notes["org.opencontainers.image.ref.name"]
    index.write_text(json.dumps(content))


def _build_base() -> None:
    """Debian's own Python and Redis, from the mirror that this machine installs packages from."""
    name = _base()
    if _buildah("images", "--quiet", "--filter", f"reference={name}"):
        return
    with tempfile.TemporaryDirectory(prefix="base-", dir=cache()) as scratch:
        root = Path(scratch) / "root"
        suite, mirror = _suite()
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, str(root), mirror)
        for each in _NOT_NEEDED:
            shutil.rmtree(root / each, ignore_errors=True)
        (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (root / ".dockerignore").write_text("dev\nproc\nsys\nDockerfile\n.dockerignore\n")
        _buildah("bud", "--quiet", "--isolation=chroot", f"--tag={name}", str(root))


def _base() -> str:
    """What the base is called: by what it is made of."""
    digest = hashlib.sha256(repr((_PACKAGES, _NOT_NEEDED, _suite())).encode()).hexdigest()
    return f"localhost/autellix-test-base:{digest[:12]}"


def _suite() -> tuple[str, str]:
    """This machine's release of Debian and its mirror."""
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    suite, mirror = release.get("VERSION_CODENAME", "").strip('"'), ""
    if release.get("ID") == "debian":
        for path in sorted(Path("/etc/apt").rglob("*.sources")):
            for line in path.read_text().splitlines():
                if line.startswith("URIs:") and "/debian" in line and not mirror:
                    mirror = line.split()[1]
    return (suite, mirror) if mirror else ("bookworm", "http://deb.debian.org/debian")


def _buildah(*arguments: str) -> str:
    storage = cache() / "buildah"
    places = (f"--root={storage / 'storage'}", f"--runroot={storage / 'run'}", "--storage-driver=overlay")
    return _run("buildah", *places, *arguments)


def _run(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "BUILDAH_"))}
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = (done.stderr + done.stdout)[-4000:]
        pytest.fail(f"{' '.join(command)} failed. It said:\n{said}", pytrace=False)
    return done.stdout
