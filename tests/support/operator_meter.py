"""What an operator's process costs and says: its own metrics, the API server's count of its writes, memory and CPU."""

import asyncio
import re
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass

import psutil
from prometheus_client.parser import text_string_to_metric_families

from cluster_access import Cluster

__all__ = ["Meter", "Window"]

_REQUESTS = re.compile(r"^apiserver_request_total\{(?P<labels>[^}]*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class _Reading:
    """At one instant."""

    at: float
    writes: Counter[tuple[str, str]]
    """By verb and kind, as the operator counts them."""
    statuses: int
    """Statuses of ProgramSessions that the API server says it was sent: nobody but the operator writes those."""
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Window:
    """Between two readings."""

    seconds: float
    writes: Counter[tuple[str, str]]
    statuses: int
    cpu: float
    """Of one core."""
    rss: int
    """The most there was, in bytes."""
    lag_s: float
    """The longest that an object waited for its turn, by the operator's own word."""

    @property
    def writes_per_s(self) -> float:
        """Of all kinds."""
        return self.writes.total() / self.seconds

    def __str__(self) -> str:
        each = ", ".join(
            f"{verb} {kind} {count / self.seconds:.2f}" for (verb, kind), count in self.writes.most_common() if count
        )
        return (
            f"{self.seconds:.0f} s: {self.writes_per_s:.2f} writes/s ({each or 'none'}), CPU {self.cpu:.1%} of a core, "
            f"memory {self.rss / 2**20:.0f} MiB, statuses wait {self.lag_s:.1f} s for their turn at most"
        )


class Meter:
    """Of one operator. It asks often, and remembers the most of what only shows at an instant."""

    def __init__(self, cluster: Cluster, pid: int, port: int) -> None:
        self._cluster = cluster
        self._process = psutil.Process(pid)
        self._url = f"http://127.0.0.1:{port}/metrics"

    async def over(self, seconds: float) -> Window:
        """Look for so long."""
        first = await self._read()
        lag_s = rss = 0.0
        while time.monotonic() - first.at < seconds:
            await asyncio.sleep(1.0)
            lag_s = max(lag_s, (await self.gauges())["status_lag_seconds"])
            rss = max(rss, float(self._process.memory_info().rss))
        last = await self._read()
        passed_s = last.at - first.at
        return Window(
            seconds=passed_s,
            writes=last.writes - first.writes,
            statuses=last.statuses - first.statuses,
            cpu=(last.cpu_s - first.cpu_s) / passed_s,
            rss=int(rss),
            lag_s=lag_s,
        )

    async def gauges(self) -> dict[str, float]:
        """The operator's gauges by name; of those by kind, a ProgramSession's."""
        return {
            sample.name.removeprefix("autellix_operator_"): sample.value
            for family in text_string_to_metric_families(await asyncio.to_thread(self._text))
            if family.type == "gauge"
            for sample in family.samples
            if sample.labels.get("kind", "ProgramSession") == "ProgramSession"
        }

    async def _read(self) -> _Reading:
        writes: Counter[tuple[str, str]] = Counter()
        for family in text_string_to_metric_families(await asyncio.to_thread(self._text)):
            for sample in family.samples:
                if sample.name == "autellix_operator_api_writes_total":
                    writes[sample.labels["verb"], sample.labels["kind"]] += int(sample.value)
        served = await asyncio.to_thread(self._cluster.kubectl, "get", "--raw", "/metrics")
        statuses = 0
        for line in _REQUESTS.finditer(served):
            labels = dict(_LABEL.findall(line["labels"]))
            about = (labels["group"], labels["resource"], labels["subresource"])
            if about == ("autellix.dev", "programsessions", "status") and labels["verb"] in ("APPLY", "PATCH"):
                statuses += int(float(line["count"]))
        times = self._process.cpu_times()
        return _Reading(time.monotonic(), writes, statuses, times.user + times.system)

    def _text(self) -> str:
        with urllib.request.urlopen(self._url, timeout=30) as answer:
            return str(answer.read().decode())
