"""The scheduler's counts in vLLM's own Prometheus registry, on its ``/metrics``.

The scheduler counts in the engine process and ``/metrics`` is answered in the API process. So each scrape first asks
the engine for its state, and a collector in the registry that vLLM exposes turns that state into families: nothing is
counted twice, and nothing travels at a step.
"""

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import REGISTRY, Collector, CollectorRegistry

from autellix_engine.counts import DECISION_BOUNDS_S

__all__ = ["METRICS_PATH", "EngineMetrics"]

METRICS_PATH = "/metrics"
"""Where vLLM answers scrapes."""

_PREFIX = "autellix_engine_"


class EngineMetrics(Collector):
    """The families of the last state that was shown to it; none before the first."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._registered = False
        self._state: Mapping[str, Any] | None = None

    def show(self, state: Mapping[str, Any]) -> None:
        """Take this state for the next scrape. Registers with the first, so that an unused one leaves no trace."""
        self._state = state
        if not self._registered:
            self._registered = True
            self._registry.register(self)

    def describe(self) -> list[Metric]:
        """Nothing beforehand: what there is depends on the state."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The families."""
        if self._state is not None:
            yield _calls(self._state["levels"])
            yield from _counters(self._state["counts"])
            yield _decisions(self._state["counts"])


def _calls(levels: list[dict[str, int]]) -> Metric:
    family = GaugeMetricFamily(f"{_PREFIX}calls", "Calls by level and state.", labels=["level", "state"])
    for level, calls in enumerate(levels):
        for state in ("waiting", "running"):
            family.add_metric([str(level), state], calls[state])
    return family


def _counters(counts: Mapping[str, Any]) -> Iterator[Metric]:
    for name, label, text in (
        ("preemptions", "cause", "Calls put back: for a better call, for want of KV blocks, or with the cache."),
        ("absurd_headers", "header", "Headers of calls that were clamped or ignored."),
        ("failures", "doing", "Exceptions in the adapter; each left one step to vLLM's own order."),
    ):
        family = CounterMetricFamily(f"{_PREFIX}{name}", text, labels=[label])
        for value, count in counts[name].items():
            family.add_metric([value], count)
        yield family
    for name, text in (
        ("demotions", "Calls that used up their quantum and went one level down."),
        ("promotions", "Calls that starved and went to the first level."),
        ("resumptions", "Preempted calls that came back into the batch."),
        ("recomputed_tokens", "Tokens of resumed calls that were no longer cached and are computed again."),
    ):
        yield CounterMetricFamily(f"{_PREFIX}{name}", text, value=counts[name])


def _decisions(counts: Mapping[str, Any]) -> Metric:
    ends = [*(repr(bound) for bound in DECISION_BOUNDS_S), "+Inf"]
    buckets = list(zip(ends, accumulate(counts["decisions"]), strict=True))
    text = "Time of one scheduling decision."
    return HistogramMetricFamily(f"{_PREFIX}decision_seconds", text, buckets=buckets, sum_value=counts["deciding_s"])
