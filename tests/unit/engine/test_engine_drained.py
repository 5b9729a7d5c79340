"""A pod's end waits for the calls in its engine, and not for ever."""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from autellix_engine import drained


class Time:
    """Passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


def waited(counts: Sequence[int | None], *, within_s: float = 60.0) -> tuple[bool, float]:
    """What it says, and when; the last count stays."""
    time, left = Time(), list(counts)
    done: bool = drained.wait(
        lambda: left.pop(0) if len(left) > 1 else left[0],
        within_s=within_s,
        quiet_s=2.0,
        clock=time.clock,
        sleep=time.sleep,
    )
    return done, time.now_s


def test_an_empty_engine_is_waited_for_as_long_as_gateways_take_to_hear() -> None:
    assert waited([0]) == (True, 2.0)


def test_a_call_that_comes_meanwhile_is_waited_for_too() -> None:
    assert waited([0, 0, 1, 1, 0]) == (True, 3.5)


def test_an_engine_that_does_not_say_may_have_calls() -> None:
    assert waited([None, None, 0]) == (True, 2.5)


def test_it_ends_when_the_time_is_over() -> None:
    assert waited([3], within_s=10.0) == (False, 10.0)


@contextmanager
def engine(status: int, body: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = json.dumps(body).encode()
            self.send_response(status if self.path == "/autellix/state" else 404)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - its name in the standard library
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/autellix/state"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "calls"),
    [
        (200, {"running": [{}, {}], "waiting": 3}, 5),
        (200, {"running": [], "waiting": 0}, 0),
        (200, {"other": 1}, None),
        (404, {}, None),
        (503, {}, None),
    ],
)
def test_calls_are_counted_by_the_engines_state(status: int, body: object, calls: int | None) -> None:
    with engine(status, body) as url:
        assert drained.calls_at(url) == calls
    assert drained.calls_at(url) == 0, "nobody listens there any more"


def test_the_command_says_when_calls_are_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with engine(200, {"running": [{}], "waiting": 0}) as url:
        monkeypatch.setenv("AUTELLIX_ENGINE_PORT", url.split(":")[2].split("/")[0])
        monkeypatch.setattr("sys.argv", ["drained", "--within", "0"])
        drained.main()
    assert capsys.readouterr().out == "Calls are left in the engine after 0 s.\n"
    monkeypatch.setattr("sys.argv", ["drained", "--within", "5", "--quiet", "0"])
    drained.main()
    assert capsys.readouterr().out == ""
