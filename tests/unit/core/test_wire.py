"""What crosses process borders."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autellix_core import program as programs
from autellix_core import wire
from autellix_core.errors import MalformedReport
from autellix_core.levels import Levels
from autellix_core.priority import Policy
from autellix_core.program import CallId, EngineId, Measured, Program, ProgramId
from autellix_core.wire import CallHeaders, Report, session_json

seconds = st.floats(0, 1e9)
identity = st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=256)


@given(st.builds(CallHeaders, program=identity, call=identity, service_s=seconds, program_wait_s=seconds))
def test_call_headers_read_back_exactly(call: CallHeaders) -> None:
    assert CallHeaders.from_headers(call.to_headers()) == (call, ())


def test_a_call_without_headers_is_none() -> None:
    assert CallHeaders.from_headers({}) == (None, ())
    assert CallHeaders.from_headers({wire.SERVICE_HEADER: "3"}) == (None, ())


def test_a_call_without_a_program_is_its_own() -> None:
    read, _ = CallHeaders.from_headers({wire.CALL_HEADER: "c"}, policy=Policy.MLFQ)
    assert read == CallHeaders(program="c", call="c", policy=Policy.MLFQ)


@pytest.mark.parametrize(
    ("text", "value"),
    [("-1", 0.0), ("nan", 0.0), ("inf", 1e9), ("1e300", 1e9), ("many", 0.0), ("", 0.0), ("0x10", 0.0)],
)
def test_absurd_seconds_are_clamped_and_named(text: str, value: float) -> None:
    read, absurd = CallHeaders.from_headers({wire.CALL_HEADER: "c", wire.SERVICE_HEADER: text})
    assert read is not None
    assert read.service_s == value
    assert absurd == (wire.SERVICE_HEADER,)


@pytest.mark.parametrize("text", ["x" * 257, "new\nline", "nul\0"])
def test_absurd_ids_count_as_absent(text: str) -> None:
    assert CallHeaders.from_headers({wire.CALL_HEADER: text}) == (None, (wire.CALL_HEADER,))


def test_an_unknown_policy_is_named_and_the_default_taken() -> None:
    read, absurd = CallHeaders.from_headers({wire.CALL_HEADER: "c", wire.POLICY_HEADER: "magic"})
    assert read is not None
    assert (read.policy, absurd) == (Policy.ATLAS, (wire.POLICY_HEADER,))


counts = st.integers(0, 10**6)
reports = st.builds(
    Report,
    call=identity,
    service_s=seconds,
    wait_s=seconds,
    level=counts,
    preemptions=counts,
    prompt_tokens=counts,
    output_tokens=counts,
)


@given(reports)
def test_reports_read_back_exactly(report: Report) -> None:
    assert Report.from_json(report.to_json()) == report
    comment = report.to_comment()
    assert comment.startswith(wire.REPORT_COMMENT.encode())
    assert comment.endswith(b"\n\n")
    assert comment.count(b"\n") == 2
    assert report.measured == Measured(report.service_s, report.wait_s, report.prompt_tokens, report.output_tokens)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"service_s": -1.0}, "service_s", id="negative"),
        pytest.param({"service_s": math.nan}, "service_s", id="nan"),
        pytest.param({"wait_s": "1"}, "wait_s", id="text-for-a-number"),
        pytest.param({"level": 1.5}, "level", id="half-a-level"),
        pytest.param({"level": True}, "level", id="truth-for-a-number"),
        pytest.param({"call": 7}, "call", id="number-for-an-id"),
        pytest.param({"output_tokens": None}, "output_tokens", id="missing"),
    ],
)
def test_a_malformed_report_names_the_field(change: dict[str, object], says: str) -> None:
    good = json.loads(Report(call="c", service_s=1.0, wait_s=2.0, level=0).to_json())
    with pytest.raises(MalformedReport, match=says):
        Report.from_json(json.dumps({**good, **change}))


@pytest.mark.parametrize("text", ["", "[]", "null", '"text"', "{", b"\xff"])
def test_what_is_no_report_at_all_is_refused(text: str | bytes) -> None:
    with pytest.raises(MalformedReport):
        Report.from_json(text)


def test_whole_numbers_serve_for_seconds() -> None:
    good = json.loads(Report(call="c", service_s=1.0, wait_s=2.0, level=0).to_json())
    assert Report.from_mapping({**good, "service_s": 1}).service_s == 1


def test_a_session_shows_its_row() -> None:
    program = Program(id=ProgramId("p"), tenant="t", model="m", created_at=0.0)
    level = {"policy": Policy.ATLAS, "levels": Levels.geometric(4, first_s=1.0)}
    fresh = session_json(program, **level)  # type: ignore[arg-type]
    assert (fresh["created_at"], fresh["last_arrival_at"], fresh["level"]) == ("1970-01-01T00:00:00.000Z", None, 0)
    program, thread = programs.arrive(program, CallId("c"), fence=1, now=1.5, lease_s=9.0)
    program = programs.dispatch(program, thread.id, fence=1, engine=EngineId("e:1"), home=True)
    program, _ = programs.settle(program, thread.id, Measured(2.5, 0.25, 7, 5), fence=1, now=86_400.0, completed=True)
    assert session_json(program, **level) == {  # type: ignore[arg-type]
        "id": "p",
        "model": "m",
        "tenant": "t",
        "state": "idle",
        "calls": 1,
        "active_calls": 0,
        "service_seconds": 2.5,
        "wait_seconds": 0.25,
        "critical_path_seconds": 2.5,
        "level": 2,
        "engines": ["e:1"],
        "prompt_tokens": 7,
        "output_tokens": 5,
        "created_at": "1970-01-01T00:00:00.000Z",
        "last_arrival_at": "1970-01-01T00:00:01.500Z",
        "last_completion_at": "1970-01-02T00:00:00.000Z",
    }
