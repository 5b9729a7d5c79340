"""An engine for tests of the local stack: it answers as vLLM's server does, at once and with noise, and has
children that do not end by themselves, as vLLM's has.

Start it as `python THIS -m autellix_engine --model tiny --port P`: the arguments of the real one. It reports the ids
of its processes into the folder named by CLIENT_ENGINE_IDS; CLIENT_ENGINE_FAULT makes it fail at its start.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import client_process_trees as trees

__all__ = ["as_engine_python", "running_engine"]

MODEL = "autellix-tiny"


class _Engine(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        answers: Mapping[str, Any] = {
            "/health": {},
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model", "max_model_len": 16384}]},
        }
        answer = answers.get(self.path)
        self._answer({"error": {"message": "Not found"}} if answer is None else answer, 404 if answer is None else 200)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        tokens = asked.get("max_tokens", 16)
        text = "noise " * (tokens // 6 + 1)
        chat = "messages" in asked
        words = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        usage = {"prompt_tokens": 7, "completion_tokens": tokens, "total_tokens": 7 + tokens}
        body = {"id": "c-1", "object": "chat.completion" if chat else "text_completion", "created": 0, "model": MODEL}
        self._answer({**body, "choices": [{"index": 0, "finish_reason": "length", **words}], "usage": usage})

    def _answer(self, body: Mapping[str, Any], status: int = 200) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Nothing is logged."""


@contextmanager
def running_engine(port: int = 0) -> Iterator[str]:
    """The engine in a thread; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", port), _Engine)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def as_engine_python(folder: Path) -> Path:
    """A program that stands in for the engine's Python interpreter."""
    path = folder / "engine-python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "$@"\n')
    path.chmod(0o755)
    return path


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("-m", dest="module")
    parser.add_argument("--model")
    parser.add_argument("--port", type=int)
    parser.add_argument("extra", nargs="*")
    options = parser.parse_args()
    assert options.module == "autellix_engine"
    if os.environ.get("CLIENT_ENGINE_FAULT") == "dies":
        sys.stderr.write(f"There is no such model as {options.model}\n")
        raise SystemExit(3)
    folder = Path(os.environ["CLIENT_ENGINE_IDS"]) / str(options.port)
    folder.mkdir()
    (folder / "extra").write_text(" ".join(options.extra))
    tree = [sys.executable, trees.__file__, str(folder), "polite-1", "deaf-1", "runaway-1"]
    subprocess.Popen(tree)
    trees.ids(folder, ["command", "polite-1", "deaf-1", "runaway-1"])
    trees.report(folder, "engine")
    while os.environ.get("CLIENT_ENGINE_FAULT") == "never-ready":
        time.sleep(60)
    with running_engine(options.port):
        while True:
            time.sleep(60)


if __name__ == "__main__":
    _main()
