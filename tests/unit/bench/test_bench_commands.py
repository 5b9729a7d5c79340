"""The command line: what each command reads, writes and prints, and its sentences where it cannot."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from autellix_bench import points, records, replay
from autellix_bench.__main__ import COMMANDS, main, parse
from autellix_bench.commands import compare, experiments, live
from autellix_bench.commands.facts import facts, installed
from autellix_bench.commands.results import Results
from autellix_bench.comparison import OURS, SYSTEMS, Result, Run
from autellix_bench.experiments import Task
from autellix_bench.live import Drive, InBody, InHeader, Sessions, Target
from autellix_bench.peers import Fronted, NotReady, Told
from autellix_bench.points import Point
from autellix_bench.programs import Program
from autellix_bench.records import CallRecord
from bench_points import a_point

SMALL = ("--workload", "sharegpt", "--programs", "5", "--rate", "2", "--seed", "3")
Captured = pytest.CaptureFixture[str]


def refused(capsys: Captured, *given: str) -> str:
    """What a command says that was asked wrongly."""
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    return capsys.readouterr().err


def failed(*given: str) -> str:
    """What a command says that was asked well and did not succeed."""
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert isinstance(ended.value.code, str), "a sentence on standard error, and status 1"
    return ended.value.code


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: python -m autellix_bench {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("", "required: COMMAND"),
        ("conquer", "invalid choice: 'conquer'"),
        ("simulate --rate -1", "--rate: it must be a number of at least 0"),
        ("simulate --rate fast", "--rate: it must be a number of at least 0"),
        ("simulate --programs 0", "--programs: it must be a whole number of at least 1"),
        ("simulate --system magic", "invalid choice: 'magic'"),
        ("simulate --tokens 0", "scaled by more than 0"),
        ("simulate --replay nowhere.jsonl", "--replay nowhere.jsonl: No such file"),
        ("simulate --workload sharegpt --programs 1 --longest-tokens 2", "too many for 2 tokens"),
        ("experiments latency luck", "there is no experiment 'luck'"),
        ("experiments --processes none", "--processes: it must be a whole number"),
        ("live --url http://a:1", "required: --model"),
        ("live --model m --url http://a:1/v1", "scheme, host and port"),
        ("live --model m --url http://a:1 --sessions cookie", "it is none, autellix, header or header:NAME"),
        ("live --model m --url http://a:1 --header token", "it must be NAME:VALUE"),
        ("compare --systems autellix,magic", "there is no 'magic'"),
        ("compare --engines 3", "invalid choice: 3"),
        ("calibrate http://a:1/v1 --model m", "scheme, host and port"),
        ("workload --workload chess", "invalid choice: 'chess'"),
        ("report . --reasons nowhere.yaml", "--reasons nowhere.yaml: No such file"),
    ],
)
def test_what_is_asked_wrongly_is_a_sentence(
    given: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(tmp_path)
    Results(tmp_path).keep_points("latency", [a_point()], {})
    assert said in refused(capsys, *given.split())


def test_simulate_keeps_records_a_point_and_a_trace(tmp_path: Path, capsys: Captured) -> None:
    out, kept, trace = (tmp_path / name for name in ("calls.jsonl", "points.jsonl", "trace.json"))
    asked = ("simulate", *SMALL, "--system", "atlas", "--beta", "2", "--out", str(out), "--points", str(kept))
    main([*asked, "--trace", str(trace)])
    said = capsys.readouterr().out
    with out.open() as file:
        calls = list(records.read(file))
    with kept.open() as file:
        (point,) = points.read(file)
    assert point.programs == len(records.by_program(calls)) == 5
    assert (point.experiment, point.system, point.workload, point.rate, point.seed) == (
        "latency",
        "atlas",
        "sharegpt",
        2.0,
        3,
    )
    assert point.params["beta"] == 2.0
    assert len([event for event in json.loads(trace.read_text())["traceEvents"] if event["ph"] == "X"]) >= len(calls)
    for words in ("P99", f"{1e3 * point.mean_s:.2f}", "makespan", "preemptions", "commit", "Python"):
        assert words in said
    once = out.read_bytes()
    main(asked)
    assert out.read_bytes() == once
    assert len(kept.read_text().splitlines()) == 2


def test_a_workload_is_written_and_replayed_as_it_was(tmp_path: Path) -> None:
    file, drawn, replayed, faster = (tmp_path / name for name in ("load.jsonl", "drawn", "replayed", "faster"))
    main(["workload", *SMALL, "--out", str(file)])
    main(["simulate", *SMALL, "--out", str(drawn)])
    main(["simulate", "--replay", str(file), "--seed", "3", "--out", str(replayed)])
    main(["simulate", "--replay", str(file), "--rate", "0", "--programs", "2", "--out", str(faster)])
    assert replayed.read_bytes() == drawn.read_bytes()
    with faster.open() as lines:
        assert {record.program_arrival_s for record in records.read(lines)} == {0.0}


def test_programs_of_a_file_come_in_order_of_arrival(tmp_path: Path) -> None:
    file, out = tmp_path / "load.jsonl", tmp_path / "calls.jsonl"
    main(["workload", *SMALL, "--out", str(file)])
    file.write_text("".join(reversed(file.read_text().splitlines(keepends=True))))
    main(["simulate", "--replay", str(file), "--out", str(out)])
    with file.open() as lines:
        assert len(list(replay.read(lines))) == 5


def test_an_empty_file_is_no_load(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "there is no program in it" in refused(capsys, "simulate", "--replay", str(tmp_path / "empty.jsonl"))


def test_a_workloads_statistics(capsys: Captured) -> None:
    main(["workload", *SMALL])
    said = capsys.readouterr().out
    assert "sharegpt, seed 3" in said
    assert "prefix hit share" in said


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    assert "No such file or directory" in failed("workload", *SMALL, "--out", str(tmp_path / "no" / "file"))


@pytest.fixture
def plan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tiny experiments, and a tiny timeline."""

    def task(experiment: str, system: str, seed: int) -> Task:
        return Task(experiment=experiment, system=system, workload="sharegpt", rate=2.0, seed=seed, programs=4)

    def tasks(experiment: str) -> Callable[[], Iterator[Task]]:
        return lambda: (task(experiment, system, seed) for system in ("vllm-opt", "atlas") for seed in (1, 2))

    monkeypatch.setattr(experiments, "EXPERIMENTS", {name: tasks(name) for name in ("latency", "fairness")})
    monkeypatch.setattr(
        experiments, "timelines", lambda: (task("timeline", "vllm-opt", 1), task("timeline", "atlas", 1))
    )


@pytest.mark.usefixtures("plan")
def test_experiments_are_kept_in_their_order_and_replaced(tmp_path: Path, capsys: Captured) -> None:
    results = Results(tmp_path / "results")
    asked = ("--processes", "1", "--out", str(results.folder))
    main(["experiments", "latency", "fairness", *asked])
    first = results.points()
    assert [(point.experiment, point.system, point.seed) for point in first] == [
        (experiment, system, seed)
        for experiment in ("latency", "fairness")
        for system in ("vllm-opt", "atlas")
        for seed in (1, 2)
    ]
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" in ")[0] for line in lines] == ["latency: 4 runs", "fairness: 4 runs"]
    main(["experiments", "latency", *asked])
    assert sorted(results.points(), key=lambda point: point.experiment) == sorted(
        first, key=lambda point: point.experiment
    )
    assert set(results.facts()) == {"latency", "fairness"}
    assert not list(results.folder.glob("*.part"))


@pytest.mark.usefixtures("plan")
def test_a_report_is_made_of_what_experiments_keep(tmp_path: Path, capsys: Captured) -> None:
    main(["experiments", "latency", "timeline", "--processes", "1", "--out", str(tmp_path)])
    engines = {stretch.engine for stretch in Results(tmp_path).stretches()}
    assert engines == {"vllm-opt engine-0", "atlas engine-0"}
    main(["report", str(tmp_path)])
    page = (tmp_path / "index.html").read_text()
    for words in ("Measured: latency, timeline", "Seeds and repetitions", "1, 2", "Commit"):
        assert words in page
    assert (tmp_path / "trace.json").exists()
    assert list(tmp_path.glob("latency*.png"))
    assert f"{tmp_path / 'index.html'}: 4 points." in capsys.readouterr().out


def test_a_report_of_nothing_of_noise_and_of_two_equals(tmp_path: Path) -> None:
    assert "There are no points in" in failed("report", str(tmp_path))
    kept = tmp_path / "points.jsonl"
    for text in ("{", '{"mean": 1}'):
        kept.write_text(text + "\n")
        assert "has a line that is no point" in failed("report", str(tmp_path))
    kept.unlink()
    Results(tmp_path).keep_points("latency", [a_point()], {})
    (tmp_path / "stretches.jsonl").write_text("{}\n")
    assert "has a line that is no stretch" in failed("report", str(tmp_path))


def test_reasons_stand_by_their_claims(tmp_path: Path, capsys: Captured) -> None:
    Results(tmp_path).keep_points("makespan", [a_point(experiment="makespan", rate=0.0)], {})
    reasons = tmp_path / "reasons.yaml"
    reasons.write_text("no.such.claim: because\n")
    assert "no.such.claim" in failed("report", str(tmp_path), "--reasons", str(reasons))
    reasons.write_text("- a list\n")
    assert "a mapping of texts" in refused(capsys, "report", str(tmp_path), "--reasons", str(reasons))
    main(["report", str(tmp_path)])
    assert "where the paper has 4,000" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("none", None),
        ("autellix", Sessions()),
        ("header", InHeader("x-session-id")),
        ("header:x-program", InHeader("x-program")),
    ],
)
def test_how_a_live_target_is_told_of_programs(given: str, told: object) -> None:
    asked = parse(["live", "--model", "m", "--url", "http://a:1", "--url", "http://b:1/", "--sessions", given])
    assert asked.sessions == told


def test_live_sends_what_it_was_asked_to_where_it_was_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    seen: list[Target] = []

    async def drive(programs: Iterator[Program], target: Target, *, record: Any, watch: Any) -> Drive:
        seen.append(target)
        calls = [an_answer(program) for program in programs]
        for call in calls:
            record(call)
        return a_drive(calls)

    monkeypatch.setattr(live, "drive", drive)
    kept, calls = tmp_path / "points.jsonl", tmp_path / "calls.jsonl"
    asked = ("--model", "m", "--url", "http://a:1/", "--api", "chat", "--encoding", "byte", "--header", "a: b")
    main(["live", *asked, *SMALL, "--system", "mine", "--points", str(kept), "--records", str(calls)])
    (target,) = seen
    assert (target.urls, target.headers, target.api.name, target.encoding.token_bytes) == (
        ("http://a:1",),
        {"a": "b"},
        "CHAT",
        1,
    )
    with kept.open() as lines:
        (point,) = points.read(lines)
    assert (point.experiment, point.system, point.programs, point.params["valid"]) == ("live", "mine", 5, "yes")
    assert len(calls.read_text().splitlines()) == 5
    assert "5 programs sent 5 calls" in capsys.readouterr().out


def test_live_without_an_answer_fails(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    async def drive(programs: Iterator[Program], target: Target, *, record: Any, watch: Any) -> Drive:
        return a_drive([an_answer(program, error="gone") for program in programs])

    monkeypatch.setattr(live, "drive", drive)
    assert "No program of 5 succeeded" in failed("live", "--model", "m", "--url", "http://a:1", *SMALL)
    assert "5 programs failed" in capsys.readouterr().out


def an_answer(program: Program, *, error: str | None = None) -> CallRecord:
    at = program.arrival_s
    return CallRecord(program.id, program.workload, "c", at, at, at, at + 1.0, 10, 10, error=error)


def a_drive(calls: list[CallRecord]) -> Drive:
    programs = records.by_program(calls)
    failures = sum(program.failed for program in programs)
    return Drive(
        programs=programs,
        failed=failures,
        calls=len(calls),
        sessions_left=0,
        wall_s=2.0,
        cpu_s=0.1,
        slip_mean_s=0.001,
        slip_p99_s=0.002,
        call_mean_s=0.0 if failures else 1.0,
    )


def live_point(system: str, repetition: int, mean_s: float) -> Point:
    params: dict[str, float | str] = {"valid": "yes", "slip_share": 0.01}
    return a_point(experiment="live", system=system, seed=repetition, mean_s=mean_s, params=params)


def test_compare_prints_a_line_a_run_and_keeps_points_as_they_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked: dict[str, Any] = {}
    results = Results(tmp_path)
    results.keep_points("latency", [a_point()], {})
    results.keep_points("live", [live_point("litellm", 7, 9.0)], {})

    async def fake(programs: Callable[[int], Iterator[Program]], _: Any, **given: Any) -> AsyncIterator[Result]:
        asked.update(given, programs=[list(programs(each)) for each in (0, 1, 0)])
        direct, ours = given["systems"]
        for repetition in (0, 1):
            (program, *_) = programs(repetition)
            given["record"](Run(repetition, ours), an_answer(program))
            yield Result(Run(repetition, ours), live_point(ours.name, repetition, 0.1))
            kept = [point.seed for point in results.points() if point.experiment == "live"]
            assert kept == list(range(repetition + 1)) if repetition == 0 else len(kept) == 3
            point = live_point(direct.name, repetition, 0.2 + 0.1 * repetition)
            yield (
                Result(Run(repetition, direct), point)
                if repetition == 0
                else Result(Run(repetition, direct), None, "There is no direct here: run `make peers`.")
            )

    monkeypatch.setattr(compare, "compare", fake)
    chosen = ("--systems", "direct-round-robin,autellix", "--repetitions", "2", "--slots", "4", "--records")
    shape = ("--level-bounds", "0.1,0.2", "--programs", "3", "--rate", "2", "--longest-tokens", "512")
    main(["compare", *chosen, *shape, "--out", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("autellix, repetition 1 of 2: mean 100.00, P95 250.00, P99 400.00 ms a token")
    assert lines[0].endswith("slip 1.00%, valid")
    assert "direct-round-robin, repetition 2 of 2: no result. There is no direct here" in "\n".join(lines)
    assert any("2.00 (2.00 to 2.00)" in line for line in lines)
    first, second, again = asked["programs"]
    assert first == again != second
    assert max(call.prompt_tokens + call.output_tokens for one in first for call in one.calls) <= 512
    assert (asked["shape"].slots, asked["shape"].adapter) == (4, ("--level-bounds", "0.1,0.2"))
    assert [(point.experiment, point.system, point.seed) for point in results.points()] == [
        ("latency", "atlas", 0),
        ("live", "autellix", 0),
        ("live", "direct-round-robin", 0),
        ("live", "autellix", 1),
    ]
    assert sorted(path.name for path in (tmp_path / "live-records").iterdir()) == [
        "autellix-1.jsonl",
        "autellix-2.jsonl",
    ]


def test_versions_of_another_environment_are_those_that_it_has(tmp_path: Path) -> None:
    (found,) = installed(Path(sys.executable), "no-such-distribution", "pytest")
    assert found == f"pytest {pytest.__version__}"
    assert installed(tmp_path / "python", "pytest") == []
    assert facts("vllm 1.2")["versions"].endswith("autellix-bench 0.1.0, vllm 1.2")


def test_compare_without_engines_or_results_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def nothing(*_: Any, **given: Any) -> AsyncIterator[Result]:
        yield Result(Run(0, given["systems"][0]), None, "It is not here.")

    async def broken(*_: Any, **given: Any) -> AsyncIterator[Result]:
        if not given["systems"]:
            yield Result(Run(0, OURS), None)
        raise NotReady("The stock engine ended by itself.")

    for fake, said in ((nothing, "No run gave a point"), (broken, "The stock engine ended by itself.")):
        monkeypatch.setattr(compare, "compare", fake)
        assert said in failed("compare", "--programs", "2", "--out", str(tmp_path))


@pytest.mark.parametrize(
    ("told", "live_told"),
    [
        (Told(), None),
        (Told(header="x-session-id"), InHeader("x-session-id")),
        (Told(fields={"hint": {"id": "{program}"}}), InBody({"hint": {"id": "{program}"}})),
    ],
)
def test_a_compared_system_is_told_of_programs_as_it_wants(
    told: Told, live_told: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Target] = []

    async def drive(programs: Any, target: Target, *, salt: str, record: Any) -> Drive:
        assert salt == "grain"
        seen.append(target)
        return a_drive([])

    monkeypatch.setattr(compare, "drive", drive)
    front = Fronted(urls=("http://a:1",), model="m", headers={"authorization": "k"}, told=told)
    asyncio.run(compare.drives([], front, salt="grain", record=lambda _: None))
    (target,) = seen
    assert (target.urls, target.model, target.headers, target.told) == (front.urls, "m", front.headers, live_told)
    assert target.encoding.token_bytes == 1


def test_compared_systems_have_names_for_a_command_line_and_the_report_knows_them() -> None:
    from autellix_bench.report.systems import LIVE_OURS, look

    assert OURS.name == LIVE_OURS
    for system in SYSTEMS:
        assert look(system.name).name != system.name, "a name of its own"
        assert " " not in system.name
