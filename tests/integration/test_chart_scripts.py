"""The chart's two scripts, as their pods run them, against an API server and a gateway that answer from memory."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest
from autellix_chart.files import CHART

API = "/apis/autellix.dev/v1alpha1/namespaces/apps/"
OWN = {"app.kubernetes.io/instance": "rel", "app.kubernetes.io/managed-by": "Helm"}


class Server:
    """Answers every request by ``answer(method, path, query, headers, body)``: a status and a body."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _do(self) -> None:
                where = urlparse(self.path)
                length = int(self.headers.get("content-length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                query = {name: values[0] for name, values in parse_qs(where.query).items()}
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answer = outer.answer(self.command, where.path, query, headers, body)
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = _do  # noqa: N815 - the library's names

            def log_message(self, *_: Any) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever)

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        raise NotImplementedError

    def __enter__(self) -> "Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


class Api(Server):
    """EnginePools and ProgramSessions of one namespace; what holds a finalizer stays until it is taken off."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.known_after = 0
        self.applied: list[tuple[str, dict[str, str], str]] = []

    def add(self, plural: str, name: str, *, labels: dict[str, str] | None = None, held: bool = False) -> None:
        finalizers = ["autellix.dev/end"] if held else []
        self.objects[plural, name] = {"metadata": {"name": name, "labels": labels or {}, "finalizers": finalizers}}

    def names(self, plural: str) -> set[str]:
        return {name for kind, name in self.objects if kind == plural}

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        assert headers["authorization"] == "Bearer t0ken"
        assert path.startswith(API)
        if self.known_after > 0:
            self.known_after -= 1
            return 404, {"reason": "NotFound"}
        plural, _, name = path.removeprefix(API).partition("/")
        found = self.objects.get((plural, name))
        if not name:
            wanted = dict(re.findall(r"([^=,]+)=([^,]+)", query.get("labelSelector", "")))
            kept = [each for (kind, _), each in self.objects.items() if kind == plural]
            return 200, {"items": [each for each in kept if wanted.items() <= each["metadata"]["labels"].items()]}
        if method == "PATCH" and headers["content-type"] == "application/apply-patch+yaml":
            self.applied.append((name, query, headers["content-type"]))
            self.objects[plural, name] = body
            return 200, body
        if found is None:
            return 404, {}
        if method == "PATCH":
            found["metadata"]["finalizers"] = body["metadata"]["finalizers"] or []
        if not found["metadata"].get("finalizers"):
            del self.objects[plural, name]
        return 200, found


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as server:
        assert isinstance(server, Api)
        yield server


def run(script: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(script), *arguments]
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **variables}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def pools_job(api: Api, folder: Path, verb: str, *names: str, bounds_s: float = 60) -> subprocess.CompletedProcess[str]:
    pools = [{"kind": "EnginePool", "metadata": {"name": name, "labels": OWN}, "spec": {}} for name in names]
    (folder / "pools.json").write_text(json.dumps(pools))
    (folder / "token").write_text("t0ken\n")
    script = (CHART / "files" / "pools.py").read_text()
    (folder / "pools.py").write_text(re.sub(r"(_WITHIN_S) = 60\.0", rf"\1 = {bounds_s}", script))
    given = {"RELEASE": "rel", "NAMESPACE": "apps", "ACCOUNT": str(folder), "APISERVER": api.url}
    return run(folder / "pools.py", verb, **given)


def test_pools_are_applied_and_those_no_longer_wanted_go(api: Api, tmp_path: Path) -> None:
    api.add("enginepools", "old", labels=OWN)
    api.add("enginepools", "somebody-elses", labels={"app.kubernetes.io/instance": "rel"})
    done = pools_job(api, tmp_path, "apply", "a", "b")
    assert (done.returncode, done.stderr) == (0, "")
    assert api.names("enginepools") == {"a", "b", "somebody-elses"}
    assert all(query == {"fieldManager": "helm", "force": "true"} for _, query, _ in api.applied)
    assert done.stdout.splitlines() == ["applied a", "applied b", "deleted old"]


def test_pools_wait_until_their_kind_is_known(api: Api, tmp_path: Path) -> None:
    api.known_after = 2
    assert pools_job(api, tmp_path, "apply", "a").returncode == 0
    assert api.names("enginepools") == {"a"}


def test_a_kind_that_is_not_there_is_said(api: Api, tmp_path: Path) -> None:
    api.known_after = 1000
    done = pools_job(api, tmp_path, "apply", "a", bounds_s=0)
    assert done.returncode == 1
    assert "set crds.install=true" in done.stderr


def test_no_pools_ask_for_no_kind(api: Api, tmp_path: Path) -> None:
    api.known_after = 1000
    assert pools_job(api, tmp_path, "apply").returncode == 0


def test_before_the_release_goes_its_pools_and_all_sessions_go(api: Api, tmp_path: Path) -> None:
    api.add("enginepools", "a", labels=OWN)
    api.add("enginepools", "somebody-elses")
    api.add("programsessions", "p-0123456789abcdef")
    api.add("programsessions", "mine")
    done = pools_job(api, tmp_path, "clear", "a")
    assert done.returncode == 0, done.stderr
    assert api.names("enginepools") == {"somebody-elses"}
    assert not api.names("programsessions")


def test_what_nobody_lets_go_is_let_go_after_a_while(api: Api, tmp_path: Path) -> None:
    api.add("programsessions", "held", held=True)
    done = pools_job(api, tmp_path, "clear", bounds_s=0)
    assert done.returncode == 0, done.stderr
    assert not api.names("programsessions")
    assert "programsessions/held was still held" in done.stdout


class Gateway(Server):
    """Sessions whose service grows by what each call is said to cost."""

    def __init__(self) -> None:
        super().__init__()
        self.models = ["tiny"]
        self.cost_s = 0.5
        self.calls = 0
        self.ended = False

    def answer(
        self, method: str, path: str, query: dict[str, str], headers: dict[str, str], body: Any
    ) -> tuple[int, Any]:
        if headers["authorization"] != "Bearer one":
            return 401, {"error": {"message": "no such key"}}
        if path == "/v1/models":
            return 200, {"data": [{"id": each} for each in self.models]}
        if path == "/v1/chat/completions":
            assert headers["x-autellix-session"] == "mark"
            assert body["model"] == "tiny"
            self.calls += 1
            return 200, {"choices": []}
        state = "ended" if method == "DELETE" else "idle"
        self.ended = self.ended or method == "DELETE"
        shown = {"id": "s", "state": state, "calls": self.calls, "service_seconds": self.calls * self.cost_s}
        return (201, {**shown, "token": "mark"}) if method == "POST" else (200, shown)


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as server:
        assert isinstance(server, Gateway)
        yield server


def program(gateway: Gateway, **variables: str) -> subprocess.CompletedProcess[str]:
    given = {"AUTELLIX_BASE_URL": f"{gateway.url}/v1", "AUTELLIX_API_KEYS": "one,two", "TIMEOUT_S": "20", "MODEL": ""}
    return run(CHART / "files" / "program.py", **given | variables)


def test_the_charts_test_sends_a_program_through(gateway: Gateway) -> None:
    done = program(gateway)
    assert (done.returncode, done.stderr) == (0, "")
    assert gateway.calls == 2
    assert gateway.ended
    assert "call 2: the program has had 1.000 s of service" in done.stdout


def test_a_program_whose_service_does_not_grow_fails_the_test(gateway: Gateway) -> None:
    gateway.cost_s = 0.0
    done = program(gateway)
    assert done.returncode == 1
    assert "After call 1 the process table has 1 calls and 0.0 s" in done.stderr


def test_a_gateway_without_a_model_is_said(gateway: Gateway) -> None:
    gateway.models = []
    done = program(gateway, TIMEOUT_S="0.1")
    assert done.returncode == 1
    assert "add a pool" in done.stderr


def test_what_the_gateway_answered_is_shown(gateway: Gateway) -> None:
    done = program(gateway, AUTELLIX_API_KEYS="wrong")
    assert done.returncode == 1
    assert "answered 401" in done.stderr
    assert "no such key" in done.stderr
