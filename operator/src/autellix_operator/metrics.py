"""What the operator counts. Labels are bounded: never an object's or a program's name."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["Metrics"]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """The operator's instruments, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = self.registry
        self.writes = Counter(
            "autellix_operator_api_writes_total",
            "Writes that the API server accepted.",
            ["verb", "kind"],
            registry=of,
        )
        self.reconciled = Histogram(
            "autellix_operator_reconcile_seconds",
            "Bringing one object up to date.",
            ["kind"],
            buckets=_SECONDS,
            registry=of,
        )
        self.failures = Counter(
            "autellix_operator_reconcile_failures_total",
            "Times that it failed and is tried again.",
            ["kind"],
            registry=of,
        )
        self.leading = Gauge("autellix_operator_leading", "1 while this replica leads.", registry=of)
        self.gateway_reached = Gauge(
            "autellix_operator_gateway_reached",
            "1 while a gateway answers and shares its table with the others.",
            registry=of,
        )
        self.programs_known = Gauge(
            "autellix_operator_programs_known",
            "Programs that the gateways told of and that are remembered.",
            registry=of,
        )
        self.programs_mirrored = Gauge(
            "autellix_operator_programs_mirrored", "Objects of programs that live over HTTP.", registry=of
        )
        self.programs_not_mirrored = Gauge(
            "autellix_operator_programs_not_mirrored", "Programs that would have one, were there room.", registry=of
        )
        self.sessions = Gauge("autellix_operator_program_sessions", "ProgramSessions made by users.", registry=of)
        self.waiting = Gauge("autellix_operator_reconcile_waiting", "Objects that are due.", ["kind"], registry=of)
        self.lag = Gauge(
            "autellix_operator_status_lag_seconds",
            "How long the object that has been due longest has been so, beyond the status interval.",
            ["kind"],
            registry=of,
        )
