"""What whoever is on call sees is what the programs really say."""

import copy
import json
import re
from pathlib import Path

import pytest

import cp_backend.telemetry
import third_party_backend.telemetry
from operations import energy_audits, retention
from scripts.cloud.certificates import Authority
from scripts.programs import Program, free_port
from templates.parts.alarms import PROGRAMS
from templates.stacks import observability, services
from tests.embedded_metrics import documents, problems
from tests.rows import add_charging_point
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
FAST = ("--duration", "300", "--meter-values-interval", "30", "--time-compression", "100")


@pytest.fixture
def said(run_node, simulate, database):
    """The log of a node at which charging points have charged, and one was refused."""
    node = run_node(admit_unknown_tokens="true", metrics_interval="1")
    add_charging_point(database, "SIM00001")
    refused = simulate("--plain", "--port", node.port, "--first", 2, "--give-up-after", 0.1)
    refused.report(code=1)
    simulate("--plain", "--port", node.port, *FAST).report()
    eventually(
        lambda: sum(d["SessionsEnded"] for d in documents(node.program.log.read_text())) == 1
    )
    return node.program.log.read_text()


def test_a_nodes_documents_keep_the_rules_of_the_format(said):
    written = documents(said)
    assert [problems(document) for document in written] == [[]] * len(written)
    assert max(document["SessionsInProgress"] for document in written) == 1
    assert sum(document["HandshakesRefused"] for document in written) >= 1
    emitted = metrics_in(written)
    # No command was given here.
    assert emitted == set(cp_backend.telemetry.METRICS) - {"CommandLatency"}
    for document in written:
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == cp_backend.telemetry.NAMESPACE
        assert document["Service"] == PROGRAMS[directive["Namespace"]]


def metrics_in(written):
    return {
        metric["Name"]
        for document in written
        for directive in document["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }


@pytest.mark.parametrize(
    ("mode", "metrics", "samples"),
    [
        (
            "web",
            third_party_backend.telemetry.WEB_METRICS,
            third_party_backend.telemetry.WEB_SAMPLES,
        ),
        (
            "relay",
            third_party_backend.telemetry.RELAY_METRICS,
            third_party_backend.telemetry.RELAY_SAMPLES,
        ),
    ],
)
def test_the_hubs_programs_documents_keep_the_rules_too(
    database_url, tmp_path, mode, metrics, samples
):
    port = free_port()
    certificate, key = Authority.new("hub").issue(["vni"], 10, elliptic=True)
    variables = {
        "DATABASE_URL": database_url,
        "THIRD_PARTY_HUB_CERTIFICATE": certificate.decode(),
        "THIRD_PARTY_HUB_KEY": key.decode(),
        "THIRD_PARTY_METRICS_INTERVAL": "1",
        "THIRD_PARTY_PORT": str(port),
        # A hub that nobody plays: nothing waits to be told to it.
        "THIRD_PARTY_HUB_URL": f"http://127.0.0.1:{free_port()}",
        "THIRD_PARTY_OPERATOR_ID": "DE*VNI",
        "THIRD_PARTY_OPERATOR_NAME": "VNI",
    }
    log = tmp_path / "log"
    with Program(["third_party_backend", mode], log, variables):
        written = eventually(lambda: documents(log.read_text()), 30)
    assert [problems(document) for document in written] == [[]] * len(written)
    # Nothing happened that a sample could be of.
    assert metrics_in(written) == set(metrics) - samples
    for document in written:
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == third_party_backend.telemetry.NAMESPACE
        assert document["Service"] == PROGRAMS[directive["Namespace"]]


GOOD = {
    "_aws": {
        "Timestamp": 0,
        "CloudWatchMetrics": [
            {
                "Namespace": "VNI/Test",
                "Dimensions": [["Environment"]],
                "Metrics": [{"Name": "Connections", "Unit": "Count"}],
            }
        ],
    },
    "Environment": "test",
    "Connections": 5,
}


def _change(path, value):
    def change(document):
        *way, last = path
        for step in way:
            document = document[step]
        document[last] = value

    return change


DIRECTIVE = ("_aws", "CloudWatchMetrics", 0)


@pytest.mark.parametrize(
    "change",
    [
        _change(("_aws", "Timestamp"), 1_700_000_000),
        _change(("_aws", "Timestamp"), "2026-01-01"),
        _change((*DIRECTIVE, "Namespace"), ""),
        _change((*DIRECTIVE, "Namespace"), "AWS/ECS"),
        _change((*DIRECTIVE, "Dimensions"), [["Nowhere"]]),
        _change((*DIRECTIVE, "Dimensions"), [["Environment"] * 31]),
        _change((*DIRECTIVE, "Metrics"), []),
        _change((*DIRECTIVE, "Metrics", 0, "Unit"), "Connections"),
        _change((*DIRECTIVE, "Metrics", 0, "Name"), "Other"),
        _change((*DIRECTIVE, "Metrics", 0, "StorageResolution"), 5),
        _change(("Environment",), ""),
        _change(("Environment",), 5),
        _change(("Connections",), "5"),
        _change(("Connections",), True),
        _change(("Connections",), float("nan")),
        _change(("Connections",), []),
        _change(("Connections",), [1] * 101),
        _change(("detail",), "x" * 1_100_000),
    ],
)
def test_a_document_against_the_rules_is_found_out(change):
    import time

    document = copy.deepcopy(GOOD)
    document["_aws"]["Timestamp"] = int(time.time() * 1000)
    assert problems(document) == []
    change(document)
    assert problems(document) != []


def _emitted():
    """Namespace → metrics that a program says it emits; other tests hold it to that."""
    hub = third_party_backend.telemetry
    return {
        cp_backend.telemetry.NAMESPACE: set(cp_backend.telemetry.METRICS),
        hub.NAMESPACE: {*hub.WEB_METRICS, *hub.RELAY_METRICS},
        energy_audits.NAMESPACE: {*energy_audits.METRICS, *retention.METRICS},
    }


def _named_in_alarms():
    for module in (observability, services):
        for resource in module.build().to_dict()["Resources"].values():
            if resource["Type"] == "AWS::CloudWatch::Alarm":
                properties = resource["Properties"]
                yield from _metrics_of(properties)


def _metrics_of(properties):
    yield properties
    for query in properties.get("Metrics", []):
        if "MetricStat" in query:
            yield query["MetricStat"]["Metric"]


def _dashboard():
    body = observability.build().to_dict()["Resources"]["Dashboard"]["Properties"]["DashboardBody"]
    text, values = body["Fn::Sub"]
    return json.loads(text), text, values


def _named_in_dashboard():
    board, _, values = _dashboard()
    filled_in = {f"${{{name}}}": value for name, value in values.items()}
    for widget in board["widgets"]:
        for line in widget["properties"].get("metrics", []):
            yield {"Namespace": filled_in.get(line[0], line[0]), "MetricName": line[1]}


def _is_of_aws(namespace):
    """Whether AWS emits a namespace: by its name, or by those between which a condition chooses."""
    if isinstance(namespace, str):
        return namespace.startswith("AWS/")
    return all(map(_is_of_aws, namespace["Fn::If"][1:]))


def test_dashboard_and_alarms_name_only_metrics_that_programs_emit():
    named = [
        (metric["Namespace"], metric["MetricName"])
        for metric in (*_named_in_alarms(), *_named_in_dashboard())
        if "Namespace" in metric and not _is_of_aws(metric["Namespace"])
    ]
    emitted = _emitted()
    assert len(named) > 20
    for namespace, name in named:
        assert name in emitted[namespace], f"{namespace} {name}"


def test_the_dashboard_is_whole():
    board, text, values = _dashboard()
    assert set(re.findall(r"\$\{(Value\d+)\}", text)) == set(values)
    titles = " ".join(widget["properties"]["title"].lower() for widget in board["widgets"])
    for subject in (
        *("connections", "messages", "errors", "latencies", "sessions", "age of the outbox"),
        *("processors and memory", "load balancer", "database", "nat", "alarms"),
    ):
        assert subject in titles
    taken = set()
    for widget in board["widgets"]:
        assert widget["x"] + widget["width"] <= 24
        cells = {
            (x, y)
            for x in range(widget["x"], widget["x"] + widget["width"])
            for y in range(widget["y"], widget["y"] + widget["height"])
        }
        assert not cells & taken
        taken |= cells


@pytest.mark.parametrize("name", observability.QUERIES)
def test_a_saved_query_asks_for_what_is_logged(name):
    """Every event and field of a query stands in the source of a program that logs it."""
    service, question = observability.QUERIES[name]
    package = {"charging-point": "cp_backend", "third-party": "third_party_backend"}[service]
    source = "\n".join(file.read_text() for file in (ROOT / package).rglob("*.py"))
    for event in re.findall(r'event = "([^"]+)"', question):
        assert f'"{event}"' in source
    words = set(re.findall(r"\b[a-z_]{3,}\b", re.sub(r'"[^"]*"', "", question)))
    language = {
        *("fields", "filter", "sort", "limit", "stats", "count", "count_distinct", "bin"),
        *("desc", "and", "timestamp", "message", "level", "event", "as", "by"),
    }
    made = set(re.findall(r"\bas (\w+)", question))
    for field in words - language - made:
        assert f'"{field}"' in source or f"{field}=" in source, field
