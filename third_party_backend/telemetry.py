"""What third-party-backend tells about itself; alarms and dashboards name these only."""

from __future__ import annotations

import atexit
import random
import threading
import time
from typing import Any

from charging.service import telemetry

NAMESPACE = "VNI/ThirdPartyBackend"
SERVICE = "third-party-backend"

WEB_METRICS: dict[str, str] = {
    "RemoteStarts": "Count",
    "RemoteStops": "Count",
    "Reservations": "Count",
    "CallersRefused": "Count",
    "RemoteStartLatency": "Milliseconds",
}
WEB_SAMPLES = frozenset({"RemoteStartLatency"})

RELAY_METRICS: dict[str, str] = {
    # gauges, of the whole outbox, whichever relay tells them
    "OutboxAge": "Seconds",
    "DeliveriesParked": "Count",
    # counters
    "DeliveriesSent": "Count",
    "DeliveriesFailed": "Count",
    "AuthorizationsAsked": "Count",
    "DatabaseFailures": "Count",
    # samples
    "DeliveryLatency": "Milliseconds",
    "AuthorizationLatency": "Milliseconds",
}
RELAY_GAUGES = frozenset({"OutboxAge", "DeliveriesParked"})
RELAY_SAMPLES = frozenset({"DeliveryLatency", "AuthorizationLatency"})


class SharedMetrics(telemetry.Metrics):
    """Figures that many threads tell."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._lock = threading.Lock()

    def count(self, metric: str, detail: str = "", amount: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            super().count(metric, detail, amount)

    def sample(self, metric: str, value: float) -> None:
        """Keep a value, fairly."""
        with self._lock:
            super().sample(metric, value)

    def document(self, dimensions: dict[str, str]) -> dict[str, Any]:
        """Return the embedded metric document since the last one and begin the next."""
        with self._lock:
            return super().document(dimensions)


def web_metrics() -> telemetry.Metrics:
    """Return the figures of a web worker."""
    return SharedMetrics(NAMESPACE, WEB_METRICS, samples=WEB_SAMPLES)


def relay_metrics() -> telemetry.Metrics:
    """Return the figures of a relay."""
    return SharedMetrics(NAMESPACE, RELAY_METRICS, gauges=RELAY_GAUGES, samples=RELAY_SAMPLES)


def tell_regularly(metrics: telemetry.Metrics, environment: str, seconds: float) -> None:
    """Write a metric document every so many seconds from now on, and one at the end."""

    def tell() -> None:
        telemetry.write_document(metrics.document(dimensions(environment)))

    def run() -> None:
        while True:
            time.sleep(seconds * random.uniform(0.95, 1.05))  # noqa: S311 - jitter
            tell()

    atexit.register(tell)
    threading.Thread(target=run, name="metrics", daemon=True).start()


def dimensions(environment: str) -> dict[str, str]:
    """Return the dimensions of all metrics."""
    return {"Environment": environment, "Service": SERVICE}
