"""The relay against the hub simulator: what happens at a charging point is told, right and once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.station import Station, ago, iso
from tests.third_party_backend.conftest import EVSE, evse_row
from tests.waiting import eventually


@pytest.fixture
def background():
    with ThreadPoolExecutor(8) as pool:
        yield pool


@pytest.fixture
def simulator(run_hub_simulator, hub):
    """A hub that calls `hub`, our web service."""
    return run_hub_simulator("--no-limits", operator_port=hub.port)


@pytest.fixture
def station(node, import_evses, database):
    """CP1 with two EVSEs that are offered to the hub, booted and online."""
    import_evses(evse_row(1), evse_row(2))
    with Station(node.port) as station:
        station.boot()
        eventually(lambda: database.execute("SELECT 1 FROM connections").fetchone())
        yield station


@pytest.fixture
def start_remotely(simulator, station, background):
    """Start through hub and web; return the hub's session and the token it has here."""

    def start(evse=EVSE):
        answer = background.submit(
            simulator.control.post, "/start", evse_id=evse, provider_id="DE-EMP"
        )
        _, message_id, _, payload = station.receive()
        station.send([3, message_id, {"status": "Accepted"}])
        answer = answer.result()
        assert answer["code"] == "000"
        return answer["session"], payload["idTag"]

    return start


def status(station, status, number=1, error="NoError"):
    station.call(
        "StatusNotification",
        {
            "connectorId": number,
            "status": status,
            "errorCode": error,
            "timestamp": iso(ago()),
        },
    )


def test_evses_and_their_status_reach_the_hub_data_first(station, simulator, run_relay):
    status(station, "Available")
    run_relay(simulator.url)
    wanted = {EVSE: "Available", "DE*VNI*E1*2": "Unknown"}
    eventually(lambda: simulator.statuses() == wanted)
    status(station, "Preparing")
    status(station, "Charging")
    eventually(lambda: simulator.statuses()[EVSE] == "Occupied")
    status(station, "Faulted", number=0, error="InternalError")
    eventually(lambda: set(simulator.statuses().values()) == {"OutOfService"})
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
