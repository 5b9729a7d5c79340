"""The dashboard asks for metrics that there are."""

import json
import re
from typing import Any

from autellix_chart.files import CHART
from prometheus_client import CollectorRegistry

from autellix_engine.counts import DECISION_BOUNDS_S
from autellix_engine.metrics import EngineMetrics
from autellix_gateway.demand.gauges import PoolGauges
from autellix_gateway.metrics import Metrics

DASHBOARD: dict[str, Any] = json.loads((CHART / "dashboards" / "autellix.json").read_text())
VLLM = {"vllm:kv_cache_usage_perc"}


def expressions() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", [])]


def asked() -> set[str]:
    return {name for each in expressions() for name in re.findall(r"\b(?:autellix_|vllm:)\w+", each)}


def exported() -> set[str]:
    engine = EngineMetrics()
    counts: dict[str, Any] = {
        **{name: {"x": 1} for name in ("preemptions", "absurd_headers", "failures")},
        **dict.fromkeys(("demotions", "promotions", "resumptions", "recomputed_tokens"), 1),
        "deciding_s": 0.0,
    }
    counts["decisions"] = [0] * (len(DECISION_BOUNDS_S) + 1)
    engine._state = {"levels": [{"waiting": 0, "running": 0}], "counts": counts}
    pools = CollectorRegistry()
    PoolGauges(pools)
    families = [*Metrics().registry.collect(), *pools.collect(), *engine.collect()]
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {f"{each.name}{end}" for each in families for end in suffixes[each.type]} | VLLM


def test_every_metric_is_exported() -> None:
    assert asked() - exported() == set()


def test_what_the_gateway_counts_of_calls_is_shown() -> None:
    families = {family.name for family in Metrics().registry.collect()}
    shown = {name for name in families if any(each.startswith(name) for each in asked())}
    assert len(shown) >= len(families) - 2, families - shown


def test_every_panel_says_its_unit_and_keeps_to_the_namespace() -> None:
    panels = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
    assert len(panels) >= 20
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert all('namespace="$namespace"' in target["expr"] for target in panel["targets"]), panel["title"]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
