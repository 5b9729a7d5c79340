"""What the live driver reads off answers, however their bytes are cut."""

import itertools
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_bench.live.readings import CallFailed, Reading
from autellix_core import wire
from autellix_core.wire import Report

REPORT = Report(call="c", service_s=0.5, wait_s=0.25, level=3, preemptions=2, cached_tokens=16, output_tokens=2)
USAGE = {"prompt_tokens": 40, "completion_tokens": 2, "total_tokens": 42}


def event(given: Any) -> bytes:
    return b"data: " + json.dumps(given).encode() + b"\n\n"


def words(*texts: str) -> bytes:
    return b"".join(event({"choices": [{"index": 0, "text": text}]}) for text in texts)


def spoken(*texts: str) -> bytes:
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": ""}, *({"content": text} for text in texts)]
    return b"".join(event({"choices": [{"index": 0, "delta": delta}]}) for delta in deltas)


END = event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n"


def reading(data: bytes, headers: Mapping[str, str] = MappingProxyType({}), *, wants_text: bool = True) -> Reading:
    ticks = itertools.count()
    read = Reading(lambda: float(next(ticks)), wants_text=wants_text)
    read.begin(headers, engine=None)
    read.feed(data)
    read.end_stream()
    return read


@given(st.lists(st.integers(0, 400)), st.booleans(), st.booleans(), st.booleans())
def test_a_stream_reads_the_same_in_any_pieces(cuts: list[int], chat: bool, crlf: bool, wants_text: bool) -> None:
    data = (spoken if chat else words)("wörd ", "end") + END + REPORT.to_comment()
    data = data.replace(b"\n", b"\r\n") if crlf else data
    read = Reading(lambda: 7.0, wants_text=wants_text)
    read.begin({}, engine="direct")
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(data)]):
        read.feed(data[begin:end])
    read.end_stream()
    assert (read.prompt_tokens, read.output_tokens, read.first_token_s) == (40, 2, 7.0)
    assert read.text == ("wörd end" if wants_text else "")
    assert (read.level, read.service_s, read.wait_s, read.cached_tokens) == (3, 0.5, 0.25, 16)
    assert read.engine == "direct"


def test_each_token_has_its_time_and_the_role_and_the_usage_are_none() -> None:
    ticks = itertools.count()
    read = Reading(lambda: float(next(ticks)), wants_text=True, keeps_times=True)
    read.feed(spoken("a", "b") + END)
    read.end_stream()
    assert (read.first_token_s, read.times_s) == (0.0, [1.0, 2.0])


@pytest.mark.parametrize("wants_text", [True, False])
def test_without_usage_the_events_are_counted(wants_text: bool) -> None:
    read = reading(spoken("a", "b", "c") + b"data: [DONE]\n\n", wants_text=wants_text)
    assert (read.output_tokens, read.prompt_tokens) == (3, None)


def test_the_gateways_headers_are_taken_where_the_engine_reports_nothing() -> None:
    told = {
        wire.ENGINE_HEADER: "10.0.0.1:8000",
        wire.LEVEL_HEADER: "2",
        wire.WAIT_SECONDS_HEADER: "0.125",
        wire.SERVICE_SECONDS_HEADER: "1.5",
    }
    read = reading(words("a") + END, told)
    assert (read.engine, read.level, read.wait_s, read.service_s) == ("10.0.0.1:8000", 2, 0.125, 1.5)
    assert reading(words("a") + END, {wire.LEVEL_HEADER: "high"}).level is None


def test_cached_tokens_are_taken_from_the_usage_too() -> None:
    usage = event({"choices": [], "usage": {**USAGE, "prompt_tokens_details": {"cached_tokens": 32}}})
    assert reading(words("a") + usage + b"data: [DONE]\n\n").cached_tokens == 32


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (words("a"), "before its last event"),
        (words("a") + event({"error": {"message": "it is gone"}}), "it is gone"),
        (event({"object": "error", "message": "it is full"}), "it is full"),
    ],
)
def test_a_stream_that_breaks_off_has_failed(data: bytes, said: str) -> None:
    with pytest.raises(CallFailed, match=said):
        reading(data)


def test_a_field_for_errors_is_no_error() -> None:
    assert reading(event({"error": None, "choices": [{"text": "a"}]}) + END).text == "a"


def test_a_whole_answer_is_read_at_once() -> None:
    read = Reading(lambda: 0.0, wants_text=True)
    read.begin({wire.REPORT_HEADER: REPORT.to_json()}, engine=None)
    read.whole(json.dumps({"choices": [{"message": {"content": "word"}}], "usage": USAGE}).encode())
    assert (read.text, read.output_tokens, read.level, read.first_token_s) == ("word", 2, 3, None)
    with pytest.raises(CallFailed, match="no answer of a model"):
        read.whole(b"<html>")
