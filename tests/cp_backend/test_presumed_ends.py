"""Sessions whose stop was lost end all the same, and a late stop sets them right."""

from __future__ import annotations

from datetime import timedelta

import pytest

from charging.database.connection import rows
from tests.rows import add_charging_point, add_evse, add_hub_session
from tests.station import Station, ago, iso
from tests.waiting import eventually

SESSION = """
    SELECT state, energy_wh, presumed, end_final_at IS NOT NULL AS final, ended_at, stop_cause
    FROM sessions WHERE session_id = %s
"""


def session(database, number):
    (row,) = rows(database, SESSION, [number])
    return row


def told(database, number):
    """How often the end of a session was reported to the relay."""
    return len(
        rows(
            database,
            "SELECT 1 FROM events WHERE kind = 'session_ended' AND payload ->> 'session_id' = %s",
            [str(number)],
        )
    )


def read(station, number, energy_wh, at):
    station.call(
        "MeterValues",
        {
            "connectorId": 1,
            "transactionId": number,
            "meterValue": [{"timestamp": iso(at), "sampledValue": [{"value": str(energy_wh)}]}],
        },
    )


def lost(station, *, start=10_000, last=15_000):
    """A session of an hour ago whose stop never comes; return its number and its last reading."""
    number = station.start(meter=start, at=ago(hours=1))["transactionId"]
    at = ago(minutes=30)
    read(station, number, last, at)
    return number, at


@pytest.fixture
def backend(run_node):
    """Nodes that look ten times a second, with as much patience as a test gives them."""

    def run(*, quiet: str = "3600", hold: str = "3600"):
        return run_node(
            admit_unknown="true",
            admit_unknown_tokens="true",
            lost_stop_interval="0.1",
            lost_stop_quiet=quiet,
            presumed_end_hold=hold,
        )

    return run


def test_a_later_start_at_its_evse_ends_a_session_with_its_last_reading(backend, database):
    with Station(backend().port) as station:
        station.boot()
        number, at = lost(station)
        station.start("OTHER", meter=16_000)
        row = session(database, number)
        assert (row["state"], row["energy_wh"], row["presumed"]) == ("ended", 5000, "later_start")
        assert not row["final"]
        assert abs(row["ended_at"] - at) < timedelta(milliseconds=2)
        # its record cannot be corrected: it waits for a late stop
        assert told(database, number) == 0


def test_a_start_at_another_evse_ends_nothing(backend, database):
    with Station(backend().port) as station:
        station.boot()
        number, _ = lost(station)
        station.call(
            "StartTransaction",
            {"connectorId": 2, "idTag": "OTHER", "meterStart": 1, "timestamp": iso(ago())},
        )
        assert session(database, number)["state"] == "charging"


def test_a_late_stop_before_the_record_is_in_it(backend, database):
    with Station(backend().port) as station:
        station.boot()
        number, _ = lost(station)
        station.start("OTHER", meter=16_000)
        at = ago(minutes=10)
        stop = {"transactionId": number, "meterStop": 15_700, "timestamp": iso(at)}
        for _ in range(2):
            assert station.call("StopTransaction", {**stop, "reason": "EVDisconnected"}) == {}
        row = session(database, number)
        assert (row["energy_wh"], row["presumed"], row["stop_cause"]) == (5700, None, "unplugged")
        assert abs(row["ended_at"] - at) < timedelta(milliseconds=2)
        assert told(database, number) == 1
        assert rows(database, "SELECT 1 FROM unassigned_facts") == []
        (correction,) = rows(database, "SELECT before, after, was_final FROM session_corrections")
        assert not correction["was_final"]
        assert correction["before"]["meter_stop_wh"] == 15_000
        assert correction["after"]["meter_stop_wh"] == 15_700


def test_a_late_stop_after_the_record_is_kept_beside_what_it_was(backend, database):
    with Station(backend(hold="0").port) as station:
        station.boot()
        number, _ = lost(station)
        station.start("OTHER", meter=16_000)
        eventually(lambda: session(database, number)["final"])
        assert told(database, number) == 1
        assert station.stop(number, 15_700) == {}
        # the relay parks a second record beside the first
        assert (session(database, number)["energy_wh"], told(database, number)) == (5700, 2)
        (correction,) = rows(database, "SELECT before, after, was_final FROM session_corrections")
        assert correction["was_final"]
        assert correction["before"]["meter_stop_wh"] == 15_000


def test_readings_that_come_before_it_is_final_count(backend, database):
    node = backend()
    with Station(node.port) as station:
        station.boot()
        number, _ = lost(station)
        station.start("OTHER", meter=16_000)
        read(station, number, 15_900, ago(minutes=20))
    database.execute("UPDATE sessions SET stop_received_at = stop_received_at - interval '2 hours'")
    eventually(lambda: session(database, number)["final"])
    assert session(database, number)["energy_wh"] == 5900


def test_a_stop_without_a_number_finds_the_session_that_it_ends(backend, database):
    with Station(backend().port) as station:
        station.boot()
        number, _ = lost(station)
        station.start("OTHER", meter=16_000)
        stop = {"transactionId": -1, "meterStop": 15_700, "timestamp": iso(ago(minutes=10))}
        assert station.call("StopTransaction", stop) == {}
        row = session(database, number)
        assert (row["energy_wh"], row["presumed"]) == (5700, None)


def test_a_restart_and_an_evse_that_does_not_charge_end_a_session(backend, database):
    with Station(backend(quiet="0.5").port) as station:
        station.boot()
        number, _ = lost(station)
        station.report("Charging")
        station.boot()
        station.report("Finishing")
        eventually(lambda: session(database, number)["presumed"] == "restart")
        assert session(database, number)["energy_wh"] == 5000


def test_an_evse_that_is_free_ends_a_session(backend, database):
    with Station(backend(quiet="0.5").port) as station:
        station.boot()
        number, _ = lost(station)
        station.report("Available")
        eventually(lambda: session(database, number)["presumed"] == "available")


@pytest.mark.parametrize("status", ["Charging", "SuspendedEV"])
def test_a_session_that_goes_on_after_a_restart_is_none_that_ended(backend, database, status):
    node = backend(quiet="0.5")
    with Station(node.port) as station, Station(node.port, "CP2") as other:
        station.boot()
        number, _ = lost(station)
        station.boot()
        station.report(status)
        other.boot()
        ended, _ = lost(other)
        other.report("Available")
        eventually(lambda: session(database, ended)["state"] == "ended")
        assert session(database, number)["state"] == "charging"


def test_an_older_session_that_is_reported_late_ends_when_no_stop_follows(backend, database):
    with Station(backend(quiet="0.5").port) as station:
        station.boot()
        newer = station.start("NEW", meter=16_000, at=ago(minutes=5))["transactionId"]
        number, _ = lost(station)
        eventually(lambda: session(database, number)["presumed"] == "later_start")
        assert session(database, newer)["state"] == "charging"


def test_one_that_is_away_or_just_back_has_ended_nothing(backend, database):
    node = backend(quiet="3600")
    with Station(node.port) as station:
        station.boot()
        number, _ = lost(station)
        station.report("Available")
    with Station(backend(quiet="0.5").port, "CP2") as other:
        other.boot()
        ended, _ = lost(other)
        other.report("Available")
        eventually(lambda: session(database, ended)["state"] == "ended")
    assert session(database, number)["state"] == "charging"


def test_the_hub_session_of_a_lost_stop_ends_too(backend, database):
    add_charging_point(database)
    add_evse(database, evse_id="DE*VNI*E1*1", roaming=True)
    add_hub_session(database, "one", id_tag="04A1B2C3")
    with Station(backend(hold="0").port) as station:
        station.boot()
        number = station.start("04A1B2C3", meter=10_000)["transactionId"]
        read(station, number, 15_000, ago())
        station.start("OTHER", meter=16_000)
        assert rows(database, "SELECT state, session_id FROM hub_sessions") == [
            {"state": "ended", "session_id": number}
        ]
        eventually(lambda: told(database, number) == 1)
