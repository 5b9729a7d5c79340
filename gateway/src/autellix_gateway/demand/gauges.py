"""The demand on every pool for Prometheus, and through it for KEDA and the HPA."""

from prometheus_client import CollectorRegistry, Gauge

from autellix_gateway.demand.pools import Demand

__all__ = ["PoolGauges"]

_SAME = " Every gateway says the same of all: take max() over them, not sum()."


class PoolGauges:
    """One value a pool. While the shared table is away there are none: nobody is to scale by what one gateway sees."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, says: str) -> Gauge:
            return Gauge(f"autellix_pool_{name}", says + _SAME, ["pool"], registry=registry)

        self._held = gauge("held_calls", "Calls that wait in gateways since no engine takes them.")
        self._waiting = gauge("waiting_calls", "Calls held, and those in engines beyond what their batches take.")
        self._calls = gauge("calls", "Calls in engines, running and queued.")
        self._active = gauge("active_programs", "Programs with a call under way.")
        self._returning = gauge("returning_programs", "Programs between two calls that will come back soon.")
        self._wait = gauge("wait_seconds", "Mean time in engines' queues of the calls that ended within a minute.")
        self._ready = gauge("engines_ready", "Engines that at least one gateway reaches.")

    def show(self, demand: Demand) -> None:
        """Take over an answer; pools that are gone are shown no more."""
        for gauge in (
            self._held,
            self._waiting,
            self._calls,
            self._active,
            self._returning,
            self._wait,
            self._ready,
        ):
            gauge.clear()
        for pool in demand.pools if demand.shared else ():
            name = pool.json["name"]
            self._held.labels(name).set(pool.json["held"])
            self._waiting.labels(name).set(pool.waiting)
            self._calls.labels(name).set(pool.calls)
            self._active.labels(name).set(pool.json["active"])
            self._returning.labels(name).set(pool.json["returning"])
            self._wait.labels(name).set(pool.mean_wait_s)
            self._ready.labels(name).set(pool.ready)
