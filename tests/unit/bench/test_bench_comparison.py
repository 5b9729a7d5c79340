"""The plan of a comparison, what is read off engines, and the ratios that come of it."""

from collections import Counter
from collections.abc import Sequence
from io import StringIO
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.console import Console

from autellix_bench.comparison import OURS, SYSTEMS, System, arranged, excluded, phases, ratios, table
from autellix_bench.comparison.loads import Load, cached_share, read
from autellix_bench.peers import PEERS, EngineKind
from autellix_bench.points import Point

DIRECT = PEERS["direct round robin"]


def test_all_systems_of_the_issue_are_there_and_ours_is_one_of_them() -> None:
    assert Counter(system.engines for system in SYSTEMS) == {EngineKind.STOCK: 7, EngineKind.ADAPTER: 1}
    assert len({system.name for system in SYSTEMS}) == len(SYSTEMS)
    assert OURS in SYSTEMS


@given(some.lists(some.integers(), min_size=1, unique=True), some.integers(1, 6))
def test_no_repetition_leaves_a_system_out(systems: list[int], repetitions: int) -> None:
    orders = [arranged(systems, each, of=repetitions) for each in range(repetitions)]
    assert orders[0] == systems
    assert all(sorted(order) == sorted(systems) for order in orders)


def test_no_system_keeps_its_place_or_its_predecessor() -> None:
    orders = [arranged(SYSTEMS, each, of=3) for each in range(3)]
    for system in SYSTEMS:
        places = [order.index(system) for order in orders]
        assert len(set(places)) > 1
        assert len({order[at - 1].name if at else None for order, at in zip(orders, places, strict=True)}) > 1


@given(some.integers(1, 7), some.sampled_from([1, 2]))
def test_every_system_runs_once_a_repetition_on_engines_that_are_up(repetitions: int, engines: int) -> None:
    plan = phases(SYSTEMS, repetitions, engines=engines)
    runs = [run for phase in plan for run in phase.runs]
    assert Counter((run.repetition, run.system.name) for run in runs) == Counter(
        (repetition, system.name) for repetition in range(repetitions) for system in SYSTEMS
    )
    assert [run.repetition for run in runs] == sorted(run.repetition for run in runs)
    assert all(run.system.engines in phase.kinds for phase in plan for run in phase.runs)
    assert all(len(phase.kinds) * engines <= 2 for phase in plan), "at most two servers at once"


def test_one_engine_of_each_kind_is_up_throughout() -> None:
    (phase,) = phases(SYSTEMS, 3, engines=1)
    assert phase.kinds == (EngineKind.STOCK, EngineKind.ADAPTER)
    first = next(run.system for run in phase.runs if run.repetition == 1)
    assert first is arranged(SYSTEMS, 1, of=3)[0] is not SYSTEMS[0]


def test_pairs_alternate_and_are_started_once_for_two_phases() -> None:
    plan = phases(SYSTEMS, 4, engines=2)
    assert [phase.kinds[0].value for phase in plan] == ["stock", "adapter", "stock", "adapter", "stock"]
    assert all(one.kinds != two.kinds for one, two in pairwise(plan))
    assert [run.repetition for run in plan[1].runs] == [0, 1]


def test_only_engines_that_somebody_needs_are_up() -> None:
    systems = [System("direct", DIRECT)]
    assert [phase.kinds for phase in phases(systems, 2, engines=1)] == [(EngineKind.STOCK,)]
    assert [phase.kinds for phase in phases(systems, 2, engines=2)] == [(EngineKind.STOCK,)]


@pytest.mark.parametrize(("systems", "repetitions", "engines"), [([], 1, 1), (SYSTEMS, 0, 1), (SYSTEMS, 1, 3)])
def test_no_plan_for_nothing(systems: Sequence[System], repetitions: int, engines: int) -> None:
    with pytest.raises(ValueError, match="A comparison takes"):
        phases(systems, repetitions, engines=engines)


def test_an_engines_metrics() -> None:
    text = (
        "# TYPE vllm:num_requests_running gauge\n"
        'vllm:num_requests_running{engine="0"} 3.0\n'
        "# TYPE vllm:num_requests_waiting gauge\n"
        'vllm:num_requests_waiting{engine="0"} 2.0\n'
        "# TYPE vllm:prefix_cache_queries counter\n"
        'vllm:prefix_cache_queries_total{engine="0"} 100.0\n'
        "# TYPE vllm:prefix_cache_hits counter\n"
        'vllm:prefix_cache_hits_total{engine="0"} 25.0\n'
        'vllm:prefix_cache_hits_created{engine="0"} 1.7e9\n'
    )
    assert read(text) == Load(calls=5.0, prompt_tokens=100.0, cached_tokens=25.0)
    assert read("") == Load()


def test_the_cached_share_is_of_what_came_between() -> None:
    before, after = Load(prompt_tokens=100, cached_tokens=90), Load(prompt_tokens=300, cached_tokens=140)
    assert cached_share(before, after) == 0.25
    assert cached_share(before, before) is None


def point(
    system: str, repetition: int, mean_s: float, *, tail: float = 2.0, valid: str = "yes", failed: int = 0
) -> Point:
    return Point(
        experiment="live",
        system=system,
        workload="mixed",
        profile="live",
        engines=1,
        rate=2.0,
        seed=repetition,
        programs=10,
        failed=failed,
        output_tokens=100,
        makespan_s=9.0,
        mean_s=mean_s,
        p50_s=mean_s,
        p95_s=mean_s * tail,
        p99_s=mean_s * 2 * tail,
        worst_s=mean_s * 9,
        params={"slip_share": 0.07 if valid == "no" else 0.01, "valid": valid},
    )


def test_ratios_are_within_repetitions() -> None:
    points = [
        *(point("ours", each, mean_s) for each, mean_s in enumerate((1.0, 2.0, 4.0))),
        *(point("other", each, mean_s, tail=4.0, failed=1) for each, mean_s in enumerate((3.0, 4.0, 20.0))),
    ]
    mean, p95, p99 = ratios(points, "ours")
    assert (mean.system, mean.statistic, mean.by_repetition) == ("other", "mean_s", {0: 3.0, 1: 2.0, 2: 5.0})
    assert (mean.lowest, mean.median, mean.highest) == (2.0, 3.0, 5.0)
    assert p95.by_repetition == {0: 6.0, 1: 4.0, 2: 10.0}
    assert p99.by_repetition == p95.by_repetition
    assert mean.failed == 3


def test_an_invalid_run_is_left_out_with_its_partner_and_named() -> None:
    points = [
        point("ours", 0, 1.0),
        point("ours", 1, 1.0, valid="no"),
        point("other", 0, 3.0),
        point("other", 1, 9.0),
        point("late", 0, 5.0, valid="no"),
    ]
    assert {(r.system, tuple(r.by_repetition)) for r in ratios(points, "ours")} == {("other", (0,))}
    assert excluded(points) == [
        "ours, repetition 2, is not counted: the driver made 7.0% of its calls' time.",
        "late, repetition 1, is not counted: the driver made 7.0% of its calls' time.",
    ]
    assert excluded(points[:1]) == []


def test_without_ours_there_is_nothing_to_compare() -> None:
    assert ratios([point("other", 0, 3.0)], "ours") == []


def test_the_table_has_median_and_spread() -> None:
    points = [point("ours", 0, 1.0), point("ours", 1, 1.0), point("other", 0, 3.0, failed=2), point("other", 1, 4.0)]
    screen = StringIO()
    Console(file=screen, width=160).print(table(ratios(points, "ours"), "ours"))
    (row,) = [line for line in screen.getvalue().splitlines() if line.startswith("│ other")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["other", *["3.50 (3.00 to 4.00)"] * 3, "2", "2"]
