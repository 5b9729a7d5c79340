"""Records of calls, programs made of them, and points made of programs."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from autellix_bench import points, records
from autellix_bench.records import CallRecord

CALL = CallRecord(
    program="p1",
    workload="chat",
    call="c1",
    program_arrival_s=1.0,
    due_s=1.0,
    sent_s=1.1,
    ended_s=3.0,
    output_tokens=10,
    prompt_tokens=5,
)


def test_records_survive_a_file() -> None:
    calls = [CALL, replace(CALL, call="c2", engine="engine-1", error="it was refused")]
    file = io.StringIO()
    records.write(calls, file)
    assert list(records.read(file.getvalue().splitlines())) == calls


def test_a_broken_line_is_named_by_its_number() -> None:
    file = io.StringIO()
    records.write([CALL], file)
    with pytest.raises(ValueError, match="Line 2"):
        list(records.read([file.getvalue(), '{"program": "p2"}']))


def test_a_program_is_measured_from_when_its_calls_were_due() -> None:
    later = replace(CALL, call="c2", due_s=5.0, sent_s=5.0, ended_s=6.0)
    (program,) = records.by_program([later, CALL])
    assert program.response_s == pytest.approx(3.0)
    assert program.token_latency_s == pytest.approx(0.15)
    assert (program.calls, program.output_tokens, program.ended_s) == (2, 20, 6.0)


def test_a_failed_program_counts_as_failed_and_not_in_latencies() -> None:
    failed = replace(CALL, program="p2", error="the engine is gone", ended_s=100.0)
    point = points.summed_up(
        records.by_program([CALL, failed]),
        experiment="x",
        system="ours",
        workload="chat",
        profile="live",
        engines=1,
        rate=1.0,
        seed=0,
    )
    assert (point.programs, point.failed) == (2, 1)
    assert point.worst_s == pytest.approx(0.2)
    file = io.StringIO()
    points.write([point], file)
    assert list(points.read(file.getvalue().splitlines())) == [point]


def test_nothing_but_failures_is_no_point() -> None:
    failed = records.by_program([replace(CALL, error="the engine is gone")])
    with pytest.raises(ValueError, match="No program of 1 succeeded"):
        points.summed_up(
            failed, experiment="x", system="ours", workload="chat", profile="live", engines=1, rate=1.0, seed=0
        )
