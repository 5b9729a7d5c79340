"""The engine's image at work: its entry point as a process here, and the image itself where one can be built.

The process is started as the image starts it: the Dockerfile's own ENTRYPOINT, ENV and HEALTHCHECK, with this machine's
engine environment for the image's Python and a folder for its /cache, as a user of no privilege where that is possible.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from autellix_core.wire import REPORT_HEADER, CallHeaders, Report
from autellix_engine.launch import SCHEDULER
from dockerfiles import Instruction, environment_of, exec_form, instructions, last, last_stage
from real_engine import MODEL, engine_python

ROOT = Path(__file__).parents[2]
CPU = ROOT / "engine-image/Dockerfile.cpu"
NOBODY = 65_534
START_S = 240.0

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True)
class Container:
    """The process that would be the container's first."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path
    cache: Path
    health: list[str]
    environment: dict[str, str]
    user: int | None

    def well(self) -> bool:
        """What the image's health check says."""
        asked = subprocess.run(self.health, env=self.environment, user=self.user, capture_output=True, check=False)
        assert asked.returncode in {0, 1}, asked.stderr
        return asked.returncode == 0


@contextmanager
def started(**said: str) -> Iterator[Container]:
    """The image's entry point, as the image for CPUs would start it with these variables of ours."""
    stage = last_stage(instructions(CPU))
    user = NOBODY if os.geteuid() == 0 and _can_run(engine_python(), NOBODY) else None
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="autellix-image-") as directory:
        cache = Path(directory)
        if user is not None:
            shutil.chown(cache, user)
        environment = _environment(stage, cache) | {"AUTELLIX_ENGINE_PORT": str(port)}
        environment |= {f"AUTELLIX_ENGINE_{name}": value for name, value in said.items()}
        log = cache / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                _command(exec_form(last(stage, "ENTRYPOINT"))),
                env=environment,
                cwd=cache,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                user=user,
                start_new_session=True,
            )
        health = _command(exec_form(last(stage, "HEALTHCHECK")))
        try:
            yield Container(process, port, log, cache, health, environment, user)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _command(image: list[str]) -> list[str]:
    assert image[0] == "python3"
    return [str(engine_python()), *image[1:]]


def _environment(stage: list[Instruction], cache: Path) -> dict[str, str]:
    """The image's variables and nothing of this machine's but what finds programs."""
    image = {name: value.replace("/cache", str(cache)) for name, value in environment_of(stage).items()}
    del image["PYTHONPATH"]  # the engine's environment here has the adapter in it
    return {"PATH": os.environ["PATH"], "TMPDIR": str(cache), **image}


def _can_run(python: Path, user: int) -> bool:
    """Whether that user may read this Python and the adapter: not where they lie in another's home folder."""
    try:
        tried = subprocess.run([python, "-c", "import autellix_engine"], user=user, capture_output=True, check=False)
    except PermissionError:
        return False
    return tried.returncode == 0


def test_the_entry_point_becomes_an_engine_and_ends_when_told() -> None:
    with started(POLICY="plas", LEVEL_BOUNDS="1,4", VLLM_ARGS="--max-num-seqs 2") as container:
        assert not container.well()
        deadline = time.monotonic() + START_S
        while not container.well():
            logged = container.log.read_text()[-4000:]
            assert container.process.poll() is None, f"The engine ended: {logged}"
            assert time.monotonic() < deadline, f"The engine was not well after {START_S:.0f} s: {logged}"
            time.sleep(0.5)

        _is_the_engine(container)
        _serves_as_told(container.port)

        container.process.send_signal(signal.SIGTERM)
        assert container.process.wait(timeout=60) in {0, -signal.SIGTERM}
        assert not container.well()
        assert (container.cache / "autellix").is_dir()


def _is_the_engine(container: Container) -> None:
    """The process is vLLM's own: no shell and no parent of ours between it and signals."""
    if not sys.platform.startswith("linux"):
        return
    of = Path("/proc") / str(container.process.pid)
    assert SCHEDULER.encode() in (of / "cmdline").read_bytes()
    assert of.stat().st_uid == (os.geteuid() if container.user is None else container.user)


def _serves_as_told(port: int) -> None:
    headers = CallHeaders(program="p", call="c", service_s=2.0)
    body = {"model": MODEL, "prompt": "Hello.", "max_tokens": 3}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/completions",
        data=json.dumps(body).encode(),
        headers={"content-type": "application/json", **headers.to_headers()},
    )
    with urllib.request.urlopen(request, timeout=60) as response:
        report = Report.from_json(response.headers[REPORT_HEADER])
    assert (report.call, report.level, report.output_tokens) == ("c", 1, 3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/autellix/state", timeout=60) as response:
        state = json.loads(response.read())
    assert state["policy"] == "plas"
    assert len(state["levels"]) == 3


def test_a_wrong_variable_ends_the_container_with_a_sentence() -> None:
    with started(POLICYS="plas") as container:
        assert container.process.wait(timeout=60) == 2
        assert "There is no setting AUTELLIX_ENGINE_POLICYS" in container.log.read_text()


@pytest.mark.timeout(3600)
def test_the_image_builds_and_runs() -> None:
    """Where images can be built: a program that does it, its daemon, and a registry that has the base."""
    docker = _docker()
    base = last(instructions(CPU), "FROM")
    if _ran(docker, "image", "inspect", base).returncode and _ran(docker, "pull", "--quiet", base).returncode:
        # Also in CI: which registries a machine reaches is not ours to decide, and the same entry point was tested.
        pytest.skip(f"No registry is reachable that has {base}; the entry point was tested as a process.")

    built = _ran(docker, "build", "--quiet", "--file", str(CPU), "--tag", "autellix-engine:test", str(ROOT))
    assert built.returncode == 0, built.stderr[-4000:]
    container = _ran(docker, "run", "--detach", "--rm", "autellix-engine:test").stdout.strip()
    try:
        assert _ran(docker, "exec", container, "id", "-u").stdout.strip() == last(instructions(CPU), "USER")
        health = exec_form(last(instructions(CPU), "HEALTHCHECK"))
        deadline = time.monotonic() + START_S
        while _ran(docker, "exec", container, *health).returncode:
            assert time.monotonic() < deadline, _ran(docker, "logs", container).stderr[-4000:]
            time.sleep(1)
    finally:
        _ran(docker, "stop", container)


def _docker() -> str:
    for name in ("docker", "podman"):
        program = shutil.which(name)
        if program is not None and _ran(program, "info").returncode == 0:
            return program
    pytest.skip("No docker or podman runs here that could build an image; the entry point was tested as a process.")


def _ran(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
