"""The paper's claims: each is computed right from points made for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from autellix_bench.curves import Interval
from autellix_bench.points import Point
from autellix_bench.report import claims, findings
from autellix_bench.report.findings import Finding, Verdict
from bench_points import a_point, curve


def found(points: list[Point], claim: str) -> Finding:
    finding = claims.found(points)[claim]
    assert finding is not None, claim
    return finding


def swept(
    capacities: dict[str, float], *, experiment: str = "latency", workload: str = "mixed", engines: int = 1
) -> list[Point]:
    return [
        a_point(
            experiment=experiment,
            workload=workload,
            engines=engines,
            system=system,
            seed=seed,
            rate=0.05 * step * engines,
            mean_s=curve(capacity * engines * (1 + 0.01 * seed), 0.05 * step * engines),
        )
        for system, capacity in capacities.items()
        for seed in range(5)
        for step in range(1, 120)
    ]


def test_claims_have_one_id_each_and_figures_of_the_paper() -> None:
    numbers = {claim.id: claim.number for claim in claims.CLAIMS}
    assert len(numbers) == len(claims.CLAIMS)
    assert numbers["throughput.mixed.vllm"] == 15.0
    assert numbers["throughput.lats.mlfq"] == 2.5
    assert numbers["placement.atlas-least"] == 1.4


def test_without_points_nothing_is_found() -> None:
    assert set(claims.found([]).values()) == {None}


@pytest.mark.parametrize(
    ("capacity", "verdict"),
    [(4.2, Verdict.REACHED), (2.0, Verdict.SMALLER), (0.7, Verdict.DIFFERS), (1.0, Verdict.UNCLEAR)],
)
def test_throughput_over_fcfs_on_mixed(capacity: float, verdict: Verdict) -> None:
    finding = found(swept({"atlas": capacity, "vllm-opt": 1.0}), "throughput.mixed.vllm-opt")
    assert finding.value == pytest.approx(capacity, rel=0.05)
    assert finding.verdict is verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (1.0002, 1.0004, Verdict.UNCLEAR),
        (0.991, 0.997, Verdict.UNCLEAR),
        (1.006, 1.02, Verdict.SMALLER),
        (0.97, 0.99, Verdict.DIFFERS),
    ],
)
def test_a_ratio_that_is_printed_as_one_tells_nothing_apart(low: float, high: float, verdict: Verdict) -> None:
    assert findings.judged(Interval((low + high) / 2, low, high, seeds=5), paper=2.0) is verdict


def test_one_seed_is_no_evidence() -> None:
    points = [point for point in swept({"atlas": 5.0, "vllm-opt": 1.0}) if point.seed == 0]
    finding = found(points, "throughput.mixed.vllm-opt")
    assert finding.verdict is Verdict.UNCLEAR
    assert "one seed" in finding.text


def test_the_sentence_names_the_target() -> None:
    finding = found(swept({"atlas": 2.0, "mlfq": 1.0}, workload="lats"), "throughput.lats.mlfq")
    assert "x the unloaded latency" in finding.text
    assert "5 seeds" in finding.text


def test_tails_count_the_scenarios_in_which_ours_beats_both() -> None:
    points = swept({"atlas": 2.0, "vllm-opt": 1.0, "mlfq": 1.1}, workload="lats")
    points += swept({"atlas": 1.0, "vllm-opt": 1.5, "mlfq": 0.5}, workload="bfcl")
    points += swept({"atlas": 1.0, "vllm-opt": 1.5, "mlfq": 0.5}, workload="not-the-papers")
    finding = found(points, "tails")
    assert "2 of 4 scenarios" in finding.text
    assert "BFCL P95, BFCL P99" in finding.text
    assert finding.verdict is Verdict.DIFFERS
    assert found(swept({"atlas": 2.0, "vllm-opt": 1.0, "mlfq": 1.1}), "tails").verdict is Verdict.REACHED


def test_the_load_balancer_gains_more_on_more_engines() -> None:
    few = {"atlas": 1.2, "atlas-least": 1.0, "atlas-round-robin": 1.0}
    many = {"atlas": 1.5, "atlas-least": 1.0, "atlas-round-robin": 1.0}
    points = [
        *swept(few, experiment="placement", engines=2),
        *swept(many, experiment="placement", engines=4),
    ]
    assert found(points, "placement.atlas-least").verdict is Verdict.REACHED
    assert found(points, "placement.more-engines").verdict is Verdict.REACHED
    same = [*swept(few, experiment="placement", engines=2), *swept(few, experiment="placement", engines=4)]
    assert found(same, "placement.more-engines").verdict is Verdict.UNCLEAR
    other_engines = [replace(point, profile="larger") if point.engines == 2 else point for point in points]
    assert claims.found(other_engines)["placement.more-engines"] is None


def test_scale_out_is_linear_or_not() -> None:
    linear = [p for n in (1, 2, 4) for p in swept({"atlas": 1.8}, experiment="scale-out", engines=n)]
    assert found(linear, "scale-out").verdict is Verdict.REACHED
    falling = [p for n in (1, 2, 4) for p in swept({"atlas": 1.8 / n**0.4}, experiment="scale-out", engines=n)]
    assert found(falling, "scale-out").verdict is Verdict.DIFFERS


@pytest.mark.parametrize(
    ("saved", "verdict"), [(0.25, Verdict.REACHED), (0.05, Verdict.SMALLER), (-0.1, Verdict.DIFFERS)]
)
def test_the_makespan_is_shorter_by_a_share(saved: float, verdict: Verdict) -> None:
    points = [
        a_point(experiment="makespan", system=system, rate=0.0, seed=seed, makespan_s=makespan_s * (1 + 0.001 * seed))
        for system, makespan_s in (("vllm-opt", 100.0), ("atlas", 100.0 * (1 - saved)))
        for seed in range(5)
    ]
    finding = found(points, "makespan")
    assert finding.value == pytest.approx(saved)
    assert finding.verdict is verdict


def test_running_out_of_memory_shows_in_the_largest_batch() -> None:
    small = a_point(experiment="makespan", system="mlfq", programs=1000, failed=3)
    assert found([small, a_point(experiment="makespan", system="mlfq", programs=4000)], "makespan.memory").value == 0.0
    large = a_point(experiment="makespan", system="mlfq", programs=4000, failed=9)
    assert found([small, large], "makespan.memory").verdict is Verdict.REACHED


@pytest.mark.parametrize(("ours_us", "verdict"), [(3.0, Verdict.REACHED), (9.0, Verdict.DIFFERS)])
def test_a_decision_costs_more_than_fcfs_and_less_than_mlfq(ours_us: float, verdict: Verdict) -> None:
    points = [
        a_point(experiment="overhead", system=system, params={"queued": 100, "decision_us": us})
        for system, us in (("vllm-opt", 1.0), ("atlas", ours_us), ("mlfq", 5.0))
    ]
    assert found(points, "overhead").verdict is verdict
    assert claims.found(points[:2])["overhead"] is None


def test_the_gap_to_the_optimum() -> None:
    latencies = {"vllm-opt": 1.0, "mlfq": 0.8, "atlas": 0.4, "srpt": 0.2}
    points = [a_point(experiment="optimum", system=system, mean_s=s) for system, s in latencies.items()]
    finding = found(points, "optimum")
    assert finding.verdict is Verdict.REACHED
    assert finding.value == pytest.approx(0.75)
    beaten = [point for point in points if point.system != "mlfq"]
    beaten.append(a_point(experiment="optimum", system="mlfq", mean_s=0.3))
    assert found(beaten, "optimum").verdict is Verdict.DIFFERS


def test_verdicts_but_one_owe_a_reason() -> None:
    assert [verdict for verdict in Verdict if not verdict.needs_reason] == [Verdict.REACHED]


def test_an_interval_that_reaches_the_papers_figure_reaches_it() -> None:
    assert findings.judged(Interval(1.9, 1.7, 2.1, 5), 2.0) is Verdict.REACHED
    assert findings.judged(Interval(1.9, 1.85, 1.95, 5), 2.0) is Verdict.SMALLER
