"""Scenarios: what a file may say, what is made of it, and what is inside a range."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from autellix_bench.__main__ import main
from autellix_bench.scenarios import Scenario, checked, read
from autellix_bench.scenarios.expectations import Equal, Range, Ratio, Value
from autellix_bench.scenarios.measured import Measured
from autellix_bench.scenarios.scenarios import Drawn, Variant

SHIPPED = sorted((Path(__file__).parents[3] / "bench" / "scenarios").glob("*.yaml"))

SMALL: dict[str, Any] = {
    "about": "A few chats on two places.",
    "workload": "sharegpt",
    "programs": 6,
    "rate": 2.0,
    "seeds": [1, 2],
    "engine": {"slots": 2},
    "systems": ["vllm-opt", "plas", "atlas"],
    "expect": [{"equal": ["plas", "atlas"], "because": "A chat has one thread."}],
}


def written(folder: Path, **changes: Any) -> Path:
    """The small scenario with these changes; None takes a key away."""
    path = folder / "small.yaml"
    given = {name: value for name, value in {**SMALL, **changes}.items() if value is not None}
    path.write_text(yaml.safe_dump(given))
    return path


def expecting(what: str, because: str | None = "so", **fields: Any) -> dict[str, Any]:
    return {"expect": [{what: fields, **({} if because is None else {"because": because})}]}


def test_a_scenario_is_read_as_it_is_written(tmp_path: Path) -> None:
    variant = {"name": "eager", "system": "atlas", "beta": 1}
    engine = {"slots": 3, "preemption": "swap", "costs": {"step_s": 0.5}, "level_bounds": [1, 4]}
    accepted = expecting("ratio", statistic="p95", over="vllm-opt", under="eager", at_least=0.5)
    scenario = read(written(tmp_path, systems=["vllm-opt", variant], engine=engine, engines=2, **accepted))
    assert scenario.load == Drawn(workload="sharegpt", rate=2.0, programs=6)
    stock, eager = Variant(name="vllm-opt", system="vllm-opt"), Variant(name="eager", system="atlas", beta=1.0)
    assert scenario.systems == (stock, eager)
    assert (scenario.profile.engine.slots, scenario.profile.engine.costs.step_s) == (3, 0.5)
    assert scenario.profile.engine.levels.quanta_s == (1.0, 3.0, float("inf"))
    assert (scenario.engines, scenario.seeds) == (2, (1, 2))
    assert scenario.expect == (
        Ratio(statistic="p95", over="vllm-opt", under="eager", accepted=Range(0.5, None), because="so"),
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"retries": 3}, "small.yaml: nothing is called 'retries' here; there is"),
        ({"about": None}, "about is missing"),
        ({"workload": "chess"}, "workload: there is no 'chess'; there is sharegpt"),
        ({"rate": -1}, "rate must be at least 0"),
        ({"rate": "fast"}, "rate must be a number, not 'fast'"),
        ({"programs": 0}, "programs must be at least 1"),
        ({"seeds": [1, 1]}, "seeds must be different whole numbers"),
        ({"systems": []}, "systems has nothing in it"),
        ({"systems": ["atlas", "atlas"]}, "two systems have one name"),
        ({"systems": ["magic"]}, "system 1: there is no 'magic'"),
        ({"profile": "abacus"}, "profile: there is no 'abacus'"),
        ({"engine": {"slots": 0}}, "engine: slots must be at least 1"),
        ({"engine": {"wheels": 4}}, "engine: nothing is called 'wheels' here"),
        ({"engine": {"costs": {"step_s": 0}}}, "engine: An iteration must take time"),
        ({"engine": {"costs": {"stepp_s": 1}}}, "engine: .*stepp_s"),
        ({"engine": {"level_bounds": [4, 1]}}, "engine: .*ascending"),
        ({"engine": {"preemption": "pray"}}, "engine: .*pray"),
        ({"replay": "nowhere.jsonl", "workload": None, "programs": None, "rate": None}, "replay cannot be read from"),
        (
            expecting("value", because=None, statistic="mean", of="atlas", at_most=1),
            "expectation 1: because is missing",
        ),
        (expecting("value", statistic="mood", of="atlas", at_most=1), "statistic: there is no 'mood'"),
        (expecting("value", statistic="mean", of="mlfq", at_most=1), "expectation 1: there is no 'mlfq'"),
        (expecting("value", statistic="mean", of="atlas"), "needs at_least, at_most or both"),
        (expecting("value", statistic="mean", of="atlas", at_least=2, at_most=1), "needs at_least, at_most or both"),
        (expecting("value", statistic="mean", of="atlas", at_leest=1, at_most=2), "nothing is called 'at_leest'"),
        (expecting("ratio", statistic="mean", over="atlas", at_most=1), "ratio: under is missing"),
        (expecting("hope"), "expects nothing"),
    ],
)
def test_what_a_file_must_not_say_is_a_sentence(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read(written(tmp_path, **changes))


@pytest.mark.parametrize("text", ["about: [", "just words", ""])
def test_what_is_no_mapping_is_no_scenario(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"odd\.yaml"):
        read(path)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_scenarios_are_read(path: Path) -> None:
    assert read(path).name == path.stem


def test_there_are_shipped_scenarios_for_each_workload_of_the_paper() -> None:
    loads = [read(path).load for path in SHIPPED]
    assert {load.workload for load in loads if isinstance(load, Drawn)} == {"sharegpt", "bfcl", "lats", "mixed"}


@pytest.mark.parametrize(
    ("accepted", "inside", "outside"),
    [
        (Range(1.0, 2.0), (1.0, 1.5, 2.0), (0.99, 2.01)),
        (Range(None, 2.0), (-5.0, 2.0), (2.1,)),
        (Range(1.0, None), (1.0, 9.0), (0.9, float("nan"))),
    ],
)
def test_a_range_includes_its_ends(accepted: Range, inside: tuple[float, ...], outside: tuple[float, ...]) -> None:
    assert all(value in accepted for value in inside)
    assert not any(value in accepted for value in outside)


def runs(**by_system: tuple[float, ...]) -> dict[str, list[Measured]]:
    return {
        name: [Measured({"mean": value}, digest=f"{value}") for value in values] for name, values in by_system.items()
    }


def test_a_ratio_is_taken_by_seed() -> None:
    ratio = Ratio(statistic="mean", over="a", under="b", accepted=Range(2.4, 2.6), because="")
    outcome = ratio.judged(runs(a=(4.0, 6.0), b=(1.0, 6.0)))
    assert outcome.met, "the mean of 4 and 1, not 10 over 7"
    assert "2.5 (1 to 4 over 2 seeds); accepted is 2.4 to 2.6" in outcome.sentence


def test_a_ratio_over_nothing_is_outside() -> None:
    ratio = Ratio(statistic="mean", over="a", under="b", accepted=Range(None, 2.0), because="")
    assert not ratio.judged(runs(a=(1.0,), b=(0.0,))).met


def test_a_value_and_the_same_records() -> None:
    found = runs(a=(1.0, 2.0), b=(1.0, 2.0), c=(1.0, 3.0))
    assert Value(statistic="mean", of="a", accepted=Range(1.5, 1.5), because="").judged(found).met
    assert Equal(systems=("a", "b"), because="").judged(found).met
    assert not Equal(systems=("a", "b", "c"), because="").judged(found).met


def test_runs_that_scenarios_share_are_run_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def counted(work: Any, items: Any, *, processes: int) -> Any:
        asked.extend(items)
        return map(work, items)

    monkeypatch.setattr("autellix_bench.scenarios.running.each", counted)
    one = read(written(tmp_path))
    other = replace(one, name="other", systems=one.systems[1:])
    found = list(checked([one, other], processes=1))
    assert [(scenario.name, [outcome.met for outcome in outcomes]) for scenario, outcomes in found] == [
        ("small", [True]),
        ("other", [True]),
    ]
    assert len(asked) == 6


def test_figure_2_waits_as_long_as_the_paper_says() -> None:
    (path,) = [path for path in SHIPPED if path.stem == "figure-2"]
    scenario: Scenario = read(path)
    ((_, outcomes),) = checked([scenario], processes=1)
    assert [outcome.met for outcome in outcomes] == [True] * 4


def test_check_prints_a_line_an_expectation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", str(written(tmp_path)), "--processes", "1"])
    assert capsys.readouterr().out.splitlines() == [
        "ok      small: plas and atlas leave the same records",
        "All 1 expectations of 1 scenarios are met.",
    ]


def test_check_fails_where_a_value_is_outside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, **expecting("value", statistic="mean", of="atlas", at_most=0.001))
    with pytest.raises(SystemExit) as ended:
        main(["check", str(path), "--processes", "1"])
    assert "1 of 1 expectations are not met" in str(ended.value.code)
    line, reason = capsys.readouterr().out.splitlines()
    assert line.startswith("OUTSIDE small: mean of atlas is 0.0")
    assert line.endswith("accepted is at most 0.001")
    assert reason.strip() == "because: so"


def test_check_refuses_what_is_no_scenario(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for given, said in (
        ([], "There are no scenarios in bench/scenarios"),
        (["nowhere.yaml"], "nowhere.yaml: No such file"),
        ([str(written(tmp_path, rate=-1))], "rate must be at least 0"),
    ):
        with pytest.raises(SystemExit) as ended:
            main(["check", *given])
        assert ended.value.code == 2
        assert said in capsys.readouterr().err
