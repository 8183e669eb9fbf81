"""What third-party-backend tells about itself; alarms and dashboards name these only."""

from __future__ import annotations

from charging import telemetry

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


def web_metrics() -> telemetry.Metrics:
    """Return the figures of a web worker."""
    return telemetry.Metrics(NAMESPACE, WEB_METRICS, samples=WEB_SAMPLES)


def relay_metrics() -> telemetry.Metrics:
    """Return the figures of a relay."""
    return telemetry.Metrics(NAMESPACE, RELAY_METRICS, gauges=RELAY_GAUGES, samples=RELAY_SAMPLES)


def dimensions(environment: str) -> dict[str, str]:
    """Return the dimensions of all metrics."""
    return {"Environment": environment, "Service": SERVICE}
