"""The commands that talk to servers, against a simulated engine over loopback."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from autellix_bench import points, records
from autellix_bench.__main__ import main
from autellix_bench.commands import compare
from autellix_bench.peers import Fronted, Told
from autellix_bench.programs import Call, Program, Segment
from autellix_bench.records import CallRecord
from bench_peers import SHAPE, simulated_engines

SMALL = ("--workload", "bfcl", "--programs", "3", "--rate", "5", "--tokens", "0.02", "--gaps", "0.01")


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    with simulated_engines(1) as (url,):
        yield url


def test_live_sends_a_workload_and_keeps_what_came(
    engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, calls = tmp_path / "points.jsonl", tmp_path / "calls.jsonl"
    told = ("--model", SHAPE.model, "--encoding", "simulated", "--sessions", "header")
    main(["live", "--url", engine, *told, *SMALL, "--points", str(kept), "--records", str(calls)])
    with kept.open() as lines:
        (point,) = points.read(lines)
    with calls.open() as lines:
        programs = records.by_program(records.read(lines))
    assert (point.programs, point.failed, point.engines, point.profile) == (3, 0, 1, "live")
    assert point.output_tokens == sum(program.output_tokens for program in programs) > 0
    said = capsys.readouterr().out
    assert "0 programs failed" in said
    assert "driver cpu share" in said


def test_an_engine_is_calibrated(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "costs.json"
    small = ("--most-calls", "4", "--longest-tokens", "512", "--repeats", "1", "--name", "simulated")
    main(["calibrate", engine, "--model", SHAPE.model, "--encoding", "simulated", *small, "--out", str(out)])
    fit = json.loads(out.read_text())
    assert fit["name"] == "simulated"
    assert fit["costs"]["step_s"] > 0
    assert "the fitted costs are" in capsys.readouterr().err


def test_an_engine_that_is_away_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["calibrate", "http://127.0.0.1:9", "--model", "m"])
    assert "cannot be reached" in str(ended.value.code)


def test_the_driver_is_bound_to_the_comparison(engine: str) -> None:
    front = Fronted(urls=(engine,), model=SHAPE.model, told=Told(header="x-session-id"))
    program = Program("p", "chat", 0.0, (Call("c", (Segment("s", 40),), 6),))
    calls: list[CallRecord] = []
    drive = asyncio.run(compare.drives([program], front, salt="salt", record=calls.append))
    assert [call.output_tokens for call in calls] == [6]
    assert [record.failed for record in drive.programs] == [False]
    assert drive.params["valid"] in {"yes", "no"}
