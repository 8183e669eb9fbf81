"""Figures, and the embedded metric documents that CloudWatch reads."""

import re
from datetime import UTC, datetime
from pathlib import Path

from charging.service.telemetry import MAX_EMF_VALUES
from cp_backend.telemetry import GAUGES, METRICS, SAMPLES, Metrics

UNITS = {"Count", "Milliseconds", "Bytes", "Percent", "Seconds", "None"}


def busy_metrics():
    metrics = Metrics()
    for name in METRICS.keys() - GAUGES - SAMPLES:
        metrics.count(name, "Heartbeat", 3)
    for name in SAMPLES:
        for value in range(1000):
            metrics.sample(name, value)
    metrics.gauges["Connections"] = 5
    return metrics


def test_a_document_keeps_the_rules_of_the_format():
    document = busy_metrics().document({"Environment": "test", "Service": "s"})
    meta = document["_aws"]
    age_ms = datetime.now(UTC).timestamp() * 1000 - meta["Timestamp"]
    assert isinstance(meta["Timestamp"], int)
    assert 0 <= age_ms < 10_000
    (directive,) = meta["CloudWatchMetrics"]
    assert re.fullmatch(r"[A-Za-z0-9./_#:-]{1,256}", directive["Namespace"])
    assert len(directive["Metrics"]) <= 100
    assert {metric["Name"] for metric in directive["Metrics"]} == set(METRICS)
    for dimensions in directive["Dimensions"]:
        assert len(dimensions) <= 30
        assert all(isinstance(document[name], str) for name in dimensions)
    for metric in directive["Metrics"]:
        assert metric["Unit"] in UNITS
        value = document[metric["Name"]]
        values = value if isinstance(value, list) else [value]
        assert 1 <= len(values) <= MAX_EMF_VALUES
        assert all(isinstance(v, int | float) for v in values)


def test_a_document_begins_the_next():
    metrics = busy_metrics()
    assert metrics.document({})["MessagesReceived"] == 3
    again = metrics.document({})
    assert again["MessagesReceived"] == 0
    assert again["Connections"] == 5
    assert not SAMPLES & again.keys()
    assert metrics.figures()["MessagesReceived"] == 3


def test_figures_are_totals_with_their_causes():
    figures = busy_metrics().figures()
    assert figures["MessagesReceived"] == 3
    assert figures["detail"]["MessagesReceived:Heartbeat"] == 3
    assert 0 <= figures["CallLatencyP50"] < 1000


def test_every_metric_is_documented():
    text = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| (\w+) \|", text, re.MULTILINE)
    kinds = dict.fromkeys(GAUGES, "gauge") | dict.fromkeys(SAMPLES, "sample")
    assert documented == [(n, unit, kinds.get(n, "counter")) for n, unit in METRICS.items()]


def test_rates_are_since_the_last_look():
    metrics = busy_metrics()
    assert metrics.figures()["rates"]["MessagesReceived"] > 0
    assert metrics.figures()["rates"]["MessagesReceived"] == 0
