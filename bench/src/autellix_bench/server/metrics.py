"""``/metrics`` under vLLM's names, read from the model when asked."""

from collections.abc import Iterator

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autellix_bench.server.serving import Serving

__all__ = ["CONTENT_TYPE_LATEST", "exposition"]

_ENGINE = "0"
"""vLLM numbers its engine cores; here there is one."""


def exposition(serving: Serving) -> bytes:
    """The metrics in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Model(serving))
    return generate_latest(registry)


class _Model(Collector):
    def __init__(self, serving: Serving) -> None:
        self._serving = serving

    def collect(self) -> Iterator[Metric]:
        model = self._serving.model
        lengths = model.queues.lengths()
        labels = {"model_name": self._serving.knobs.model, "engine": _ENGINE}
        gauges = {
            "num_requests_running": ("Calls in the batch.", sum(runs for _, runs in lengths)),
            "num_requests_waiting": ("Calls that wait.", sum(waits for waits, _ in lengths)),
            "kv_cache_usage_perc": ("Share of KV blocks in use, from 0 to 1.", model.kv_usage),
        }
        counters = {
            "num_preemptions": ("Calls put back.", model.preemptions),
            "prompt_tokens": ("Tokens of prompts.", model.prompt_tokens),
            "generation_tokens": ("Tokens of answers.", model.output_tokens),
            "prefix_cache_queries": ("Prompt tokens looked up in the prefix cache.", model.prompt_tokens),
            "prefix_cache_hits": ("Prompt tokens found in it.", model.cached_tokens),
        }
        for name, (said, value) in gauges.items():
            gauge = GaugeMetricFamily(f"vllm:{name}", said, labels=list(labels))
            gauge.add_metric(list(labels.values()), value)
            yield gauge
        for name, (said, value) in counters.items():
            counter = CounterMetricFamily(f"vllm:{name}", said, labels=list(labels))
            counter.add_metric(list(labels.values()), value)
            yield counter
        success = CounterMetricFamily("vllm:request_success", "Calls that ended.", labels=[*labels, "finished_reason"])
        for reason, count in self._serving.finished.items():
            success.add_metric([*labels.values(), reason], count)
        yield success
