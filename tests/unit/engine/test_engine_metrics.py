"""The scheduler's counts as Prometheus's families."""

from prometheus_client import CollectorRegistry, generate_latest

from autellix_engine.counts import Cause, Counts
from autellix_engine.metrics import EngineMetrics


def shown(registry: CollectorRegistry) -> dict[str, float]:
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_before_the_first_state_there_is_nothing() -> None:
    registry = CollectorRegistry()
    EngineMetrics(registry)
    assert shown(registry) == {}


def test_every_count_is_there_under_its_label() -> None:
    registry, counts = CollectorRegistry(), Counts()
    counts.preempted(Cause.BETTER_CALL)
    counts.turned(demoted=2, promoted=3)
    counts.resumed(recomputed_tokens=7)
    counts.saw_absurd(["x-autellix-service"])
    counts.failures["deciding"] += 4
    EngineMetrics(registry).show(
        {"levels": [{"waiting": 5, "running": 1}, {"waiting": 0, "running": 2}], "counts": counts.to_json()}
    )
    assert {name: value for name, value in shown(registry).items() if "decision" not in name} == {
        'autellix_engine_calls{level="0",state="waiting"}': 5,
        'autellix_engine_calls{level="0",state="running"}': 1,
        'autellix_engine_calls{level="1",state="waiting"}': 0,
        'autellix_engine_calls{level="1",state="running"}': 2,
        'autellix_engine_preemptions_total{cause="better_call"}': 1,
        'autellix_engine_preemptions_total{cause="kv_pressure"}': 0,
        'autellix_engine_preemptions_total{cause="cache_reset"}': 0,
        'autellix_engine_absurd_headers_total{header="x-autellix-service"}': 1,
        'autellix_engine_failures_total{doing="deciding"}': 4,
        "autellix_engine_demotions_total": 2,
        "autellix_engine_promotions_total": 3,
        "autellix_engine_resumptions_total": 1,
        "autellix_engine_recomputed_tokens_total": 7,
    }


def test_the_time_of_decisions_is_a_histogram() -> None:
    registry, counts = CollectorRegistry(), Counts()
    for seconds in (1e-5, 2e-5, 3.0):
        counts.decided(seconds)
    EngineMetrics(registry).show({"levels": [], "counts": counts.to_json()})
    values = shown(registry)
    assert values['autellix_engine_decision_seconds_bucket{le="1e-05"}'] == 1
    assert values['autellix_engine_decision_seconds_bucket{le="2.5e-05"}'] == 2
    assert values['autellix_engine_decision_seconds_bucket{le="0.1"}'] == 2
    assert values['autellix_engine_decision_seconds_bucket{le="+Inf"}'] == 3
    assert values["autellix_engine_decision_seconds_count"] == 3
    assert values["autellix_engine_decision_seconds_sum"] == 3.00003


def test_each_scrape_shows_the_last_state() -> None:
    registry = CollectorRegistry()
    metrics, counts = EngineMetrics(registry), Counts()
    for _ in range(3):
        counts.turned(demoted=1, promoted=0)
        metrics.show({"levels": [], "counts": counts.to_json()})
    assert shown(registry)["autellix_engine_demotions_total"] == 3
