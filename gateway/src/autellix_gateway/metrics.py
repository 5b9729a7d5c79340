"""What the gateway counts. Labels are bounded: never a program, a call or a client's own word."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from autellix_gateway.waits import RecentWaits

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """The gateway's instruments, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.recent_waits = RecentWaits()
        of = self.registry
        self.requests = Counter(
            "autellix_gateway_requests_total", "Requests by route and status.", ["route", "status"], registry=of
        )
        self.calls = Counter(
            "autellix_gateway_calls_total",
            "Calls by outcome: completed, aborted, refused by the engine, or failed with it.",
            ["outcome"],
            registry=of,
        )
        self.in_flight = Gauge("autellix_gateway_calls_in_flight", "Calls under way.", ["engine"], registry=of)
        self.duration = Histogram(
            "autellix_gateway_call_duration_seconds", "Arrival to last byte.", buckets=_SECONDS, registry=of
        )
        self.first_byte = Histogram(
            "autellix_gateway_call_first_byte_seconds", "Arrival to first byte.", buckets=_SECONDS, registry=of
        )
        self.service = Histogram(
            "autellix_gateway_call_service_seconds", "Time in an engine's batch.", buckets=_SECONDS, registry=of
        )
        self.wait = Histogram(
            "autellix_gateway_call_wait_seconds", "Time in an engine's queues.", buckets=_SECONDS, registry=of
        )
        self.placements = Counter("autellix_gateway_placements_total", "Placements by reason.", ["reason"], registry=of)
        self.retries = Counter(
            "autellix_gateway_retries_total", "Calls moved on because an engine did not answer.", registry=of
        )
        self.unreported = Counter(
            "autellix_gateway_unreported_calls_total",
            "Calls whose service the gateway had to measure, as their engine reported none.",
            registry=of,
        )
        self.swept = Counter("autellix_gateway_swept_total", "What sweeps took away.", ["kind"], registry=of)
        self.sessions = Counter("autellix_gateway_sessions_total", "Sessions by what was done.", ["verb"], registry=of)
        self.over_limit = Counter(
            "autellix_gateway_programs_over_limit_total",
            "Calls served as programs of one call, as their tenant holds too many programs.",
            registry=of,
        )
        self.degraded = Gauge(
            "autellix_gateway_table_degraded", "1 while calls are served without the shared table.", registry=of
        )
        self.reconciled = Counter(
            "autellix_gateway_reconciled_total",
            "What was settled while the shared table was away: told to it afterwards, or lost.",
            ["outcome"],
            registry=of,
        )
        self.engines_ready = Gauge("autellix_gateway_engines_ready", "Engines that take calls.", registry=of)
