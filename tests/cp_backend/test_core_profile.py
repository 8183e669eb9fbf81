"""OCPP 1.6 Core over a real socket, down to the rows of a real database."""

from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest

from tests.rows import add_charging_point, add_token
from tests.station import Station, ago, iso
from tests.waiting import eventually


@pytest.fixture
def station(node):
    with Station(node.port) as connected:
        connected.boot()
        yield connected


def one(database, query, *values):
    return database.execute(query, values).fetchone()


def test_a_charging_point_whose_row_is_locked_keeps_nobody_waiting(node, database, database_url):
    def report(station):
        return station.call(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        )

    with Station(node.port, "CP1") as locked, Station(node.port, "CP2") as free:
        for station in (locked, free):
            station.boot()
            report(station)
        with psycopg.connect(database_url) as other:
            other.execute("SELECT 1 FROM evses WHERE charging_point_id = 'CP1' FOR UPDATE")
            assert report(locked)[0] == "InternalError"
            assert [report(free) for _ in range(20)] == [{}] * 20
        assert report(locked) == {}


def test_a_node_that_may_only_read_is_not_ready(node, database, database_url):
    with urlopen(f"http://127.0.0.1:{node.port}/health/ready") as answer:
        assert answer.status == 200
    name = database.info.dbname
    try:
        database.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'charging-point-backend%%' AND datname = %s",
            [name],
        )
        eventually(lambda: not ready(node))
        assert not ready(node)
    finally:
        database.execute("SET default_transaction_read_only = off")
        database.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    eventually(lambda: ready(node), 20)


def ready(node):
    try:
        with urlopen(f"http://127.0.0.1:{node.port}/health/ready") as answer:
            return answer.status == 200
    except HTTPError:
        return False


def test_before_its_boot_a_strict_charging_point_gets_a_security_error(node, database):
    database.execute("INSERT INTO charging_points (charging_point_id, strict) VALUES ('CP1', true)")
    with Station(node.port) as station:
        assert station.call("Heartbeat", {})[0] == "SecurityError"


@pytest.mark.parametrize("registration", ["Pending", "Rejected"])
def test_a_boot_is_answered_as_the_operator_decided(run_node, database, registration):
    add_charging_point(database, registration=registration)
    node = run_node(boot_retry_interval="30")
    with Station(node.port) as station:
        answer = station.boot()
        assert answer["status"] == registration
        assert 27 <= answer["interval"] <= 30
        assert station.start()[0] == "SecurityError"
        assert station.stop(7, 100) == {}
    assert database.execute("SELECT action FROM unassigned_facts").fetchall() == [
        ("StopTransaction",)
    ]


def test_a_boot_outlives_its_connection(node):
    with Station(node.port) as station:
        station.boot()
    with Station(node.port) as station:
        assert "currentTime" in station.call("Heartbeat", {})


def test_an_operators_change_of_mind_ends_what_a_boot_began(node, database):
    with Station(node.port) as station:
        station.boot()
    database.execute("UPDATE charging_points SET registration = 'Rejected'")
    with Station(node.port) as station:
        assert station.call("Heartbeat", {})[0] == "SecurityError"


def test_what_a_charging_point_says_it_is_is_kept(station, database):
    assert one(database, "SELECT vendor, model FROM charging_points") == ("V", "M")


def test_unknown_and_unsupported_actions_are_told_apart(station):
    assert station.call("Teleport", {})[0] == "NotImplemented"
    assert station.call("Reset", {"type": "Soft"})[0] == "NotSupported"


def test_data_transfer_of_an_unknown_vendor(station):
    assert station.call("DataTransfer", {"vendorId": "acme"}) == {"status": "UnknownVendorId"}


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (None, "Invalid"),
        ({}, "Accepted"),
        ({"blocked": True}, "Blocked"),
        ({"expires_at": ago(days=1)}, "Expired"),
        ({"expires_at": ago(days=-1)}, "Accepted"),
    ],
)
def test_a_token_is_answered_as_it_is_registered(run_node, database, row, status):
    if row is not None:
        add_token(database, "TAG", **row)
    node = run_node(admit_unknown="true")
    with Station(node.port) as station:
        station.boot()
        # idTag is case-insensitive (CiString20Type)
        assert station.call("Authorize", {"idTag": "tag"})["idTagInfo"]["status"] == status


def test_a_status_is_kept_and_a_new_one_is_an_event(station, database):
    def report(status):
        return station.call(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": status}
        )

    assert [report(s) for s in ("Available", "Available", "Faulted")] == [{}, {}, {}]
    assert one(database, "SELECT status FROM evses") == ("Faulted",)
    events = database.execute("SELECT payload->>'status' FROM events ORDER BY event_id").fetchall()
    assert events == [("Available",), ("Faulted",)]


def test_a_session_from_start_to_end(station, database):
    answer = station.start(meter=1000)
    number = answer["transactionId"]
    assert number > 0
    assert answer["idTagInfo"]["status"] == "Accepted"
    station.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": number,
            "meterValue": [
                {
                    "timestamp": iso(ago(seconds=1)),
                    "sampledValue": [{"value": "1.5", "unit": "kWh"}],
                }
            ],
        },
    )
    assert station.stop(number, 3500, reason="EVDisconnected") == {}
    session = one(database, "SELECT state, energy_wh, stop_reason, evse_number FROM sessions")
    assert session == ("ended", 2500, "EVDisconnected", 1)
    assert one(database, "SELECT energy_wh, session_id FROM meter_values") == (1500, number)
    kinds = [row[0] for row in database.execute("SELECT kind FROM events ORDER BY event_id")]
    assert kinds == ["session_started", "session_ended"]


def test_a_repeated_start_gets_the_first_answer(station, database):
    at = ago(minutes=1)
    first = station.start(at=at)
    assert station.start(at=at) == first
    assert station.start(at=at, meter=1001) != first
    assert one(database, "SELECT count(*) FROM sessions") == (2,)


def test_a_start_with_the_facts_of_a_session_that_has_ended_is_a_new_one(station, database):
    at = ago(minutes=1)
    first = station.start(at=at, meter=0)["transactionId"]
    station.stop(first, 500)
    second = station.start(at=at, meter=0)["transactionId"]
    assert second != first
    assert station.start(at=at, meter=0)["transactionId"] == second
    assert one(database, "SELECT state, energy_wh FROM sessions WHERE session_id = %s", first) == (
        "ended",
        500,
    )


def test_a_repeated_stop_gets_the_first_answer_and_changes_nothing(station, database):
    number = station.start(meter=0)["transactionId"]
    payload = {
        "transactionId": number,
        "meterStop": 700,
        "timestamp": iso(ago(seconds=1)),
        "idTag": "TAG",
    }
    first = station.call("StopTransaction", payload)
    assert first["idTagInfo"]["status"] == "Accepted"
    assert station.call("StopTransaction", payload) == first
    assert one(database, "SELECT energy_wh FROM sessions") == (700,)
    assert one(database, "SELECT count(*) FROM unassigned_facts") == (0,)
    assert one(database, "SELECT count(*) FROM events WHERE kind = 'session_ended'") == (1,)


def test_a_stop_that_contradicts_the_first_is_kept_for_the_operator(station, database):
    number = station.start(meter=0)["transactionId"]
    station.stop(number, 700)
    assert station.stop(number, 900) == {}
    assert one(database, "SELECT energy_wh FROM sessions") == (700,)
    assert one(database, "SELECT payload->>'meterStop' FROM unassigned_facts") == ("900",)


@pytest.mark.parametrize("number", [-1, 0, 999, 2**40])
def test_a_stop_of_no_known_transaction_is_accepted_and_kept_once(station, database, number):
    payload = {"transactionId": number, "meterStop": 700, "timestamp": iso(ago(seconds=1))}
    assert station.call("StopTransaction", payload) == {}
    assert station.call("StopTransaction", payload) == {}
    assert one(database, "SELECT count(*), min(payload->>'meterStop') FROM unassigned_facts") == (
        1,
        "700",
    )


def test_another_charging_points_transaction_cannot_be_stopped(node, station, database):
    number = station.start()["transactionId"]
    with Station(node.port, "CP2") as thief:
        thief.boot()
        assert thief.stop(number, 5000) == {}
    assert one(database, "SELECT state FROM sessions") == ("charging",)
    assert one(database, "SELECT charging_point_id FROM unassigned_facts") == ("CP2",)


def test_readings_for_another_charging_points_transaction_are_not_of_it(node, station, database):
    number = station.start()["transactionId"]
    reading = {"timestamp": iso(ago(seconds=1)), "sampledValue": [{"value": "5"}]}
    ended = {"timestamp": iso(ago(seconds=2)), "sampledValue": [{"value": "6"}]}
    with Station(node.port, "CP2") as thief:
        thief.boot()
        values = {"connectorId": 1, "transactionId": number, "meterValue": [reading]}
        assert thief.call("MeterValues", values) == {}
        assert thief.stop(number, 5000, transactionData=[ended]) == {}
    kept = database.execute(
        "SELECT charging_point_id, session_id, energy_wh FROM meter_values ORDER BY energy_wh"
    ).fetchall()
    assert kept == [("CP2", None, 5), ("CP2", None, 6)]


def test_an_offline_session_is_kept_at_its_own_times(station, database):
    began, ended = ago(hours=5), ago(hours=3)
    number = station.start(at=began, meter=10)["transactionId"]
    reading = {"timestamp": iso(ago(hours=4)), "sampledValue": [{"value": "500"}]}
    station.call(
        "StopTransaction",
        {
            "transactionId": number,
            "meterStop": 1010,
            "timestamp": iso(ended),
            "transactionData": [reading],
        },
    )
    started_at, ended_at = one(database, "SELECT started_at, ended_at FROM sessions")
    assert iso(started_at) == iso(began)
    assert iso(ended_at) == iso(ended)
    assert one(database, "SELECT energy_wh, evse_number FROM meter_values") == (500, 1)


def test_a_repeated_reading_counts_once(station, database):
    reading = {
        "connectorId": 1,
        "meterValue": [{"timestamp": iso(ago(seconds=9)), "sampledValue": [{"value": "5"}]}],
    }
    assert [station.call("MeterValues", reading) for _ in range(3)] == [{}, {}, {}]
    assert one(database, "SELECT count(*) FROM meter_values") == (1,)


def test_a_refused_token_still_leaves_a_session_for_energy_may_have_flowed(run_node, database):
    node = run_node(admit_unknown="true")
    with Station(node.port) as station:
        station.boot()
        answer = station.start("STRANGER")
    assert answer["idTagInfo"]["status"] == "Invalid"
    assert one(database, "SELECT start_status FROM sessions") == ("Invalid",)


def test_a_meter_that_ran_backwards_bills_nothing_and_keeps_both_readings(station, database):
    number = station.start(meter=900)["transactionId"]
    station.stop(number, 100)
    row = one(database, "SELECT energy_wh, meter_start_wh, meter_stop_wh FROM sessions")
    assert row == (0, 900, 100)


def test_malformed_calls_are_answered_and_the_conversation_goes_on(station):
    station.send('[2,"a",{}]')
    assert station.receive()[:3] == [4, "a", "FormationViolation"]
    station.send('[2,"b","Authorize",{"idTag":"cut off in the mid')
    assert station.receive()[:3] == [4, "b", "FormationViolation"]
    station.send("not even JSON")
    station.send('[3,"unasked",{}]')
    assert "currentTime" in station.call("Heartbeat", {})


def test_logs_hold_no_payloads_and_no_tokens(node, station):
    station.start("SECRETTOKEN", meter=123456)
    eventually(lambda: node.logged("session started"))
    text = node.program.log.read_text()
    assert "SECRETTOKEN" not in text
    assert "123456" not in text
