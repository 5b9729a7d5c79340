"""Taking the report out of a stream, and nothing else."""

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core.wire import Report
from autellix_gateway.engines.reports import EventStream, usage_of

REPORT = Report(call="c", service_s=1.5, wait_s=0.5, level=2, output_tokens=3)
EVENTS = b'data: {"a": 1}\n\n: a comment\n\nevent: x\r\ndata: {"b": "\xc3\xbc"}\r\n\r\n'
DONE = b"data: [DONE]\n\n"


def read(data: bytes, cuts: list[int]) -> tuple[bytes, bytes, EventStream]:
    """What was passed on at once, what was held, and the stream, for data that comes in pieces."""
    stream = EventStream()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    passed = b"".join(stream.feed(data[start:end]) for start, end in itertools.pairwise(edges))
    return passed, stream.finish(), stream


@given(st.lists(st.integers(0, 10_000), max_size=12))
def test_however_it_comes_the_rest_is_unchanged(cuts: list[int]) -> None:
    passed, held, stream = read(EVENTS + DONE + REPORT.to_comment(), cuts)
    assert passed == EVENTS
    assert held == DONE, "held until the call is settled"
    assert stream.report == REPORT
    assert stream.events == 2


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=6))
def test_bytes_that_are_no_events_pass_unchanged(data: bytes, cuts: list[int]) -> None:
    data = data.replace(b": autellix", b"")
    passed, held, stream = read(data, cuts)
    assert passed + held == data
    assert stream.report is None


def test_a_stream_that_breaks_off_leaves_no_half_event() -> None:
    stream = EventStream()
    assert stream.feed(b'data: {"a": 1}\n\ndata: {"b"') == b'data: {"a": 1}\n\n'


def test_a_report_that_cannot_be_read_is_taken_out_all_the_same() -> None:
    passed, held, stream = read(DONE + b": autellix {nonsense\n\n", [])
    assert (passed, held, stream.report) == (b"", DONE, None)


def test_what_follows_the_report_is_passed_on() -> None:
    _, held, _ = read(DONE + REPORT.to_comment() + b": ping\n\n", [])
    assert held == DONE + b": ping\n\n"


@pytest.mark.parametrize(
    ("body", "usage"),
    [
        pytest.param({"usage": {"prompt_tokens": 3, "completion_tokens": 5}}, (3, 5), id="both"),
        pytest.param({"usage": {"prompt_tokens": 3}}, (3, 0), id="no-output"),
        pytest.param({"usage": None}, None, id="null"),
        pytest.param({"usage": {"prompt_tokens": "3"}}, None, id="text"),
        pytest.param({}, None, id="none"),
        pytest.param([], None, id="a-list"),
    ],
)
def test_usage_is_read_where_it_is(body: object, usage: tuple[int, int] | None) -> None:
    encoded = json.dumps(body).encode()
    assert usage_of(encoded) == usage
    assert usage_of(b"data: " + encoded + b"\n") == usage


def test_usage_of_what_is_no_json() -> None:
    assert usage_of(b"data: [DONE]") is None
