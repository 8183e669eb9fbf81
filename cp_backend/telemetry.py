"""What a node tells about itself: counters, samples, CloudWatch embedded metrics.

Nothing here blocks or allocates for each message beyond an addition: figures gather in memory
and leave once a minute as one log line in CloudWatch's embedded metric format, and every few
seconds as the `figures` of the node's row, which `operations nodes --watch` shows.
docs/metrics.md says what each means.
"""

from __future__ import annotations

from charging.service import telemetry

NAMESPACE = "VNI/ChargingPointBackend"

METRICS: dict[str, str] = {
    # gauges
    "Connections": "Count",
    "HandshakesInFlight": "Count",
    "LaneDepth": "Count",
    "SessionsInProgress": "Count",
    # counters
    "HandshakesAccepted": "Count",
    "HandshakesRefused": "Count",
    "HandshakesPutOff": "Count",
    "ConnectionsClosed": "Count",
    "MessagesReceived": "Count",
    "CallErrorsSent": "Count",
    "FramesIgnored": "Count",
    "SessionsStarted": "Count",
    "SessionsEnded": "Count",
    "CommandsAnswered": "Count",
    "FilesMoved": "Count",
    "FilesRefused": "Count",
    "DatabaseFailures": "Count",
    "Defects": "Count",
    "MessagesLogged": "Count",
    "MessagesNotLogged": "Count",
    # samples
    "HandshakeLatency": "Milliseconds",
    "CallLatency": "Milliseconds",
    "CommandLatency": "Milliseconds",
    "CommitBatchSize": "Count",
    "CommitLatency": "Milliseconds",
    "EventLoopLag": "Milliseconds",
}
"""Every metric a node emits and its CloudWatch unit; dashboards and alarms name these only."""

GAUGES = frozenset({"Connections", "HandshakesInFlight", "LaneDepth", "SessionsInProgress"})
"""What is at the moment of the document. SessionsInProgress is of all nodes, the others of one."""
SAMPLES = frozenset(
    {
        "CallLatency",
        "CommandLatency",
        "CommitBatchSize",
        "CommitLatency",
        "EventLoopLag",
        "HandshakeLatency",
    }
)


class Metrics(telemetry.Metrics):
    """The figures of one node since the last document."""

    def __init__(self) -> None:
        super().__init__(NAMESPACE, METRICS, gauges=GAUGES, samples=SAMPLES)
