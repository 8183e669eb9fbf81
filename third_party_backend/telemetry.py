"""The metrics of third-party-backend; alarms and dashboards name these only."""

from __future__ import annotations

import random
import threading
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
    # gauges, of all deliveries, whichever relay measures them
    "OutboxAge": "Seconds",
    "DeliveriesParked": "Count",
    # a gauge, of our certificate; absent where we have none
    "HubCertificateDays": "None",
    # counters
    "DeliveriesSent": "Count",
    "DeliveriesFailed": "Count",
    "AuthorizationsAsked": "Count",
    "DatabaseFailures": "Count",
    "Defects": "Count",
    # samples
    "DeliveryLatency": "Milliseconds",
    "AuthorizationLatency": "Milliseconds",
}
RELAY_GAUGES = frozenset({"OutboxAge", "DeliveriesParked", "HubCertificateDays"})
RELAY_SAMPLES = frozenset({"DeliveryLatency", "AuthorizationLatency"})


class SharedMetrics(telemetry.Metrics):
    """Metrics that many threads count."""

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


class Reporter:
    """Writes a metric document every so many seconds, and a last one when it is stopped."""

    def __init__(self, metrics: telemetry.Metrics, environment: str, seconds: float) -> None:
        self._metrics = metrics
        self._environment = environment
        self._seconds = seconds
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write the last document."""
        self._stopped.set()
        self._thread.join(timeout=5)
        self._write()

    def _run(self) -> None:
        while not self._stopped.wait(self._seconds * random.uniform(0.95, 1.05)):  # noqa: S311
            self._write()

    def _write(self) -> None:
        telemetry.write_document(self._metrics.document(dimensions(self._environment)))


def dimensions(environment: str) -> dict[str, str]:
    """Return the dimensions of all metrics."""
    return {"Environment": environment, "Service": SERVICE}
