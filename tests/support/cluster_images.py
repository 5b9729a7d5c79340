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
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from cluster_binaries import Binaries
from cluster_build import cache, exclusively

__all__ = ["IMAGES", "PAUSE", "build_archive"]

_ROOT = Path(__file__).parents[2]
_DOCKERFILES = {"gateway": "gateway", "operator": "operator", "engine-sim": "bench"}
IMAGES: Mapping[str, str] = {
    **{name: f"localhost/autellix-{name}:test" for name in _DOCKERFILES},
    "redis": "localhost/redis:test",
}
"""What the images are called in the cluster, by what is in them."""
PAUSE = "localhost/pause:test"
"""The one that holds a pod's namespaces."""

_BASE = "localhost/autellix-test-base"
_PACKAGES = "ca-certificates,python3,python3-venv,python3-pip,redis-server"
_NOT_NEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_REDIS = f"""FROM {_BASE}
USER 10001:0
EXPOSE 6379
CMD ["redis-server", "--save", "", "--protected-mode", "no"]
"""
_PAUSE = """FROM scratch
COPY pause /pause
ENTRYPOINT ["/pause"]
"""


def build_archive(binaries: Binaries) -> Path:
    """A tar file with all images, for ``ctr images import``. Fails the test run if one cannot be built."""
    pause = binaries.path("pause")
    key = _digest([*_sources(), pause, Path(__file__)])
    made = cache() / f"images-{key}.tar"
    if not made.is_file():
        with exclusively(cache() / "images.lock"):
            if not made.is_file():
                _build_all(pause, made)
    made.touch()
    for old in sorted(cache().glob("images-*.tar"), key=lambda path: path.stat().st_mtime)[:-2]:
        old.unlink(missing_ok=True)
    return made


def _sources() -> Iterable[Path]:
    """All that an image of ours is made of."""
    for member in ("core", *_DOCKERFILES.values()):
        yield _ROOT / member / "Dockerfile"
        yield from (path for path in (_ROOT / member / "src").rglob("*") if "__pycache__" not in path.parts)
    yield from (_ROOT / "requirements").glob("*.txt")


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        if path.is_file():
            digest.update(str(path).removeprefix(str(_ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def _build_all(pause: Path, made: Path) -> None:
    base = f"{_BASE}:{hashlib.sha256(repr((_PACKAGES, _NOT_NEEDED, _suite())).encode()).hexdigest()[:12]}"
    if not _buildah("images", "--quiet", "--filter", f"reference={base}"):
        _build_base(base)
    _buildah("tag", base, _BASE)
    with tempfile.TemporaryDirectory(prefix="images-", dir=cache()) as scratch:
        context = Path(scratch) / "context"
        context.mkdir()
        shutil.copy2(pause, context / "pause")
        for name, member in _DOCKERFILES.items():
            _bud(IMAGES[name], _ROOT / member / "Dockerfile", _ROOT)
        for name, text in ((IMAGES["redis"], _REDIS), (PAUSE, _PAUSE)):
            (context / "Dockerfile").write_text(text)
            _bud(name, context / "Dockerfile", context)
        layout = Path(scratch) / "layout"
        for name in (*IMAGES.values(), PAUSE):
            _buildah("push", "--quiet", "--disable-compression", name, f"oci:{layout}:{name}")
        _name_for_containerd(layout / "index.json")
        archive = Path(scratch) / "images.tar"
        with tarfile.open(archive, "w") as tar:
            for path in sorted(layout.iterdir()):
                tar.add(path, path.name)
        archive.rename(made)


def _bud(name: str, dockerfile: Path, context: Path) -> None:
    """Build an image as ``docker build`` would, with layers kept for the next time."""
    trusted = "/etc/ssl/certs:/etc/ssl/certs:ro"  # whom this machine trusts when it asks for packages
    flags = ("--layers", "--pull-never", "--isolation=chroot", f"--volume={trusted}", f"--build-arg=BASE={_BASE}")
    _buildah("bud", "--quiet", *flags, f"--file={dockerfile}", f"--tag={name}", str(context))


def _name_for_containerd(index: Path) -> None:
    """Say the whole name of each image where containerd looks for it; else it would take the tag alone."""
    content = json.loads(index.read_text())
    for manifest in content["manifests"]:
        notes = manifest["annotations"]
        notes["io.containerd.image.name"] = notes["org.opencontainers.image.ref.name"]
    index.write_text(json.dumps(content))


def _build_base(name: str) -> None:
    """Debian's own Python and Redis, from the mirror that this machine installs packages from."""
    with tempfile.TemporaryDirectory(prefix="base-", dir=cache()) as scratch:
        root = Path(scratch) / "root"
        suite, mirror = _suite()
        _run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", suite, str(root), mirror)
        for each in _NOT_NEEDED:
            shutil.rmtree(root / each, ignore_errors=True)
        (root / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
        (root / ".dockerignore").write_text("dev\nproc\nsys\nDockerfile\n.dockerignore\n")
        _buildah("bud", "--quiet", "--isolation=chroot", f"--tag={name}", str(root))


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
