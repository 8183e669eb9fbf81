"""The relay against the hub simulator: what happens at a charging point is told, right and once."""

from __future__ import annotations

from scripts.cloud.certificates import Authority
from tests import embedded_metrics
from tests.rows import EVSE
from tests.station import ago, iso
from tests.waiting import eventually


def test_evses_and_their_status_reach_the_hub_data_first(station, simulator, run_relay, tmp_path):
    files = {"hub_certificate": tmp_path / "certificate", "hub_key": tmp_path / "key"}
    for file, pem in zip(files.values(), Authority.new("hub").issue(["us"], 40), strict=True):
        file.write_bytes(pem)
    station.report("Available")
    ours = {name: str(file) for name, file in files.items()}
    relay = run_relay(simulator.url, metrics_interval="1", **ours)
    wanted = {EVSE: "Available", "DE*VNI*E1*2": "Unknown"}
    eventually(lambda: simulator.statuses() == wanted)
    station.report("Preparing")
    station.report("Charging")
    eventually(lambda: simulator.statuses()[EVSE] == "Occupied")
    station.report("Faulted", number=0, error="InternalError")
    eventually(lambda: set(simulator.statuses().values()) == {"OutOfService"})
    assert simulator.violations() == []
    documents = eventually(lambda: embedded_metrics.documents(relay.program.log.read_text()))
    assert [
        problem for document in documents for problem in embedded_metrics.problems(document)
    ] == []
    assert {"OutboxAge", "DeliveriesParked", "DeliveriesSent", "DeliveriesFailed"} <= {
        *documents[0]
    }
    assert 38 < documents[0]["HubCertificateDays"] < 40


def test_where_one_relay_dies_another_goes_on(station, simulator, run_relay):
    first, _ = run_relay(simulator.url), run_relay(simulator.url)
    eventually(lambda: len(simulator.statuses()) == 2)
    eventually(lambda: all(simulator.statuses().values()))
    first.program.kill()
    station.report("Available")
    eventually(lambda: simulator.statuses()[EVSE] == "Available", 20)
    assert simulator.violations() == []


def test_a_session_is_told_from_its_start_to_its_record(
    station, simulator, run_relay, start_remotely
):
    run_relay(simulator.url)
    eventually(lambda: EVSE in simulator.statuses())
    name, token = start_remotely()
    transaction = station.start(token, 1000)["transactionId"]
    station.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": transaction,
            "meterValue": [{"timestamp": iso(ago()), "sampledValue": [{"value": "1500"}]}],
        },
    )
    eventually(lambda: simulator.session(name)["notifications"])
    station.stop(transaction, 2234)
    session = eventually(lambda: (s := simulator.session(name))["cdr"] and s)
    assert [n["type"] for n in session["notifications"]] == ["Start", "End"]
    assert session["energy_wh"] == 1234
    assert session["cdr"]["MeterValueInBetween"] == {"meterValues": [1.5]}
    assert session["seconds_to_cdr"] < 10
    assert simulator.violations() == []
