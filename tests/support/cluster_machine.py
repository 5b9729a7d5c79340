"""A small machine inside this one, with a network, mounts and process ids of its own, so that ending it leaves nothing.

When its first process ends, Linux ends all others, containers included, and their mounts and addresses go with them.
What remains is what the machine shares with this one: cgroups and a few sysctls, which are put back here, also after a
test run that was killed.
"""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from cluster_processes import Processes

__all__ = ["CGROUP", "Machine", "machine"]

CGROUP = "autellix-test"
"""The cgroup that everything in it belongs to."""
_SYSCTLS = ("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops")
"""What a kubelet sets for the whole machine."""
_SHARED_FOLDERS = ("/var/log", "/var/lib/cni")
"""Where it and its runtime write to, whatever they are told; they see folders of their own there."""


@dataclass(frozen=True, slots=True)
class Machine:
    """Made by :func:`machine`."""

    pid: int
    """Its first process, as this machine counts."""
    folder: Path

    @property
    def network(self) -> tuple[str, ...]:
        """What stands before a command that is to use its network."""
        return (_program("nsenter"), f"--target={self.pid}", "--net", "--")

    @property
    def inside(self) -> tuple[str, ...]:
        """What stands before a command that is to run in it wholly, and to end with it."""
        return (_program("nsenter"), f"--target={self.pid}", "--net", "--mount", "--pid", "--")

    def run(self, *command: str) -> str:
        """What a command that runs in it wholly writes.

        :raises RuntimeError: with what it said, if it failed.
        """
        done = subprocess.run(
            [*self.inside, *command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout


@contextmanager
def machine(folder: Path, processes: Processes, first: Path) -> Iterator[Machine]:
    """A machine whose first process is ``first``, which must reap others' children; as root.

    ``folder`` is the only place where it writes. It is emptied before and after.
    """
    _put_back(folder)
    folder.mkdir(parents=True)
    (folder / "sysctls").write_text("".join(f"{name} {Path('/proc/sys', name).read_text()}" for name in _SYSCTLS))
    for cgroup in _cgroups():
        cgroup.mkdir(exist_ok=True)
        for name in ("cpuset.cpus", "cpuset.mems"):  # empty in a new cgroup of the first version, and needed
            if (cgroup.parent / name).is_file():
                (cgroup / name).write_text((cgroup.parent / name).read_text())
    processes.start("machine", *_unshared(folder, first))
    pid = _first_process(processes.pid("machine"), first)
    try:
        yield Machine(pid, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            psutil.Process(pid).send_signal(signal.SIGKILL)
        processes.stop_all()
        _put_back(folder)


def _unshared(folder: Path, first: Path) -> list[str]:
    """The command that makes the namespaces and then becomes ``first`` in them."""
    lines = ["set -e", "mount -t proc proc /proc"]
    for index, shared in enumerate(_SHARED_FOLDERS):
        own = folder / f"shared-{index}"
        lines += [f"mkdir -p {own} {shared}", f"mount --bind {own} {shared}"]
    lines.append(f"exec {first}")
    flags = ("--pid", "--mount", "--net", "--fork", "--kill-child=SIGKILL", "--propagation=private")
    return [_program("unshare"), *flags, "--", "/bin/sh", "-c", "\n".join(lines)]


def _first_process(outer: int, first: Path) -> int:
    """The process inside, once it has become ``first``."""
    deadline = time.monotonic() + 10.0
    while True:
        for child in psutil.Process(outer).children():
            with contextlib.suppress(psutil.Error):
                if child.exe() == str(first.resolve()):
                    return child.pid
        if time.monotonic() > deadline:
            raise RuntimeError("The node's namespaces could not be made; its log says why.")
        time.sleep(0.02)


def _cgroups() -> list[Path]:
    """The cgroup of ours in each hierarchy: one in the second version of cgroups, a dozen in the first."""
    mounted = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return [Path(fields[1]) / CGROUP for fields in mounted if fields[2] in {"cgroup", "cgroup2"}]


def _put_back(folder: Path) -> None:
    """Undo what an earlier machine left: cgroups with what runs in them, sysctls, files."""
    for cgroup in _cgroups():
        for each in sorted(cgroup.rglob("*/"), reverse=True) if cgroup.is_dir() else ():
            _remove(each)
        _remove(cgroup)
    before = folder / "sysctls"
    if before.is_file():
        for line in before.read_text().splitlines():
            name, value = line.split()
            Path("/proc/sys", name).write_text(value)
    shutil.rmtree(folder, ignore_errors=True)


def _remove(cgroup: Path) -> None:
    """Remove a cgroup, after what runs in it; ended processes take a moment to leave."""
    deadline = time.monotonic() + 10.0
    while cgroup.is_dir():
        for pid in (cgroup / "cgroup.procs").read_text().split():
            with contextlib.suppress(psutil.Error):
                psutil.Process(int(pid)).kill()
        try:
            cgroup.rmdir()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"There is no {name}; install util-linux.")
    return found
