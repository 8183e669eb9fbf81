"""What the hub refuses waits for the operator; what is mended goes out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.rows import (
    EVSE,
    add_connection,
    add_event,
    add_hub_session,
    add_node,
    add_session,
    evse_row,
    set_details,
    set_status,
)
from tests.waiting import eventually

HUB_SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"


@pytest.fixture
def as_json(operate, capsys):
    def run(*words):
        capsys.readouterr()
        assert operate(*words, "--json") == 0
        return json.loads(capsys.readouterr().out)

    return run


@pytest.fixture
def begun(run_hub_simulator, run_relay, import_evses):
    """A hub that knows two EVSEs of ours, and the relay."""
    simulator = run_hub_simulator("--no-limits")
    import_evses(evse_row(1), evse_row(2))
    relay = run_relay(simulator.url)
    eventually(lambda: len(simulator.statuses()) == 2 and all(simulator.statuses().values()))
    return simulator, relay


def test_one_bad_evse_does_not_keep_the_others_back(begun, database, as_json, operate):
    simulator, relay = begun
    # Nothing that an operator could type: it slipped past, as a bug of ours would.
    set_details(database, 2, country="Germany")
    set_details(database, 1, city="Flensburg")
    add_event(database, "evse_changed", evse_number=1)
    (parked,) = eventually(lambda: as_json("hub", "parked"))
    assert (parked["queue"], parked["key"]) == ("evse-data", "DEVNIE12")
    assert "HTTP 400" in parked["reason"]
    assert "Country" in parked["reason"]
    eventually(
        lambda: (
            {e["evse"]: e["record"]["Address"]["City"] for e in simulator.control.get("/evses")}
            == {EVSE: "Flensburg", "DE*VNI*E1*2": "Kiel"}
        )
    )
    assert relay.logged("parked")
    # Mended, it goes out by itself: what changed deserves another try.
    set_details(database, country="DNK")
    add_event(database, "evse_changed", evse_number=2)
    eventually(
        lambda: (
            {e["record"]["Address"]["Country"] for e in simulator.control.get("/evses")} == {"DNK"}
        )
    )
    assert as_json("hub", "parked") == []


def test_what_is_parked_is_queued_again_or_dropped_by_hand(begun, database, as_json, operate):
    simulator, _ = begun
    simulator.misbehave("forbidden-html", "evse-status", calls=None)
    set_status(database, "Available")
    for number in (1, 2):
        add_event(database, "evse_status_changed", evse_number=number, status="Available")
    parked = eventually(lambda: (p := as_json("hub", "parked"))[1:] and p)
    assert {p["reason"] for p in parked} == {"HTTP 403; the hub does not admit our address"}
    queues = {row["queue"]: row for row in as_json("hub", "show")}
    assert queues["evse-status"]["parked"] == 2
    assert as_json("hub", "drop", parked[1]["delivery"], "--reason", "test") == {
        "dropped": parked[1]["delivery"]
    }
    assert operate("hub", "requeue") == 1
    assert operate("hub", "requeue", 4711) == 1
    simulator.control.delete("/faults")
    assert as_json("hub", "requeue", parked[0]["delivery"])
    eventually(lambda: sorted(map(str, simulator.statuses().values())) == ["Available", "Unknown"])
    assert as_json("hub", "parked") == []
    # A full load heals whatever was dropped.
    assert as_json("hub", "full-load", "evse-status")
    eventually(lambda: set(simulator.statuses().values()) == {"Available"})


def test_a_record_that_cannot_be_written_waits_until_it_can(
    begun, database, as_json, operate, import_evses
):
    database.execute("UPDATE evses SET evse_id = NULL, evse_id_key = NULL WHERE evse_number = 1")
    session = add_session(database, id_tag="HUB0")
    add_hub_session(
        database, HUB_SESSION, id_tag="HUB0", state="ended", session_id=session, evse_id=None,
        created_at=datetime.now(UTC) - timedelta(hours=2),
    )  # fmt: skip
    add_event(database, "session_ended", session_id=session)
    (parked,) = eventually(lambda: as_json("hub", "parked"))
    assert "has no EVSE id" in parked["reason"]
    import_evses(evse_row(1))
    assert operate("hub", "requeue", "--queue", "charge-detail-record") == 0
    # Written now; this hub does not know the session, so it is parked for that.
    (parked,) = eventually(
        lambda: [
            p
            for p in as_json("hub", "parked", "--queue", "charge-detail-record")
            if "HTTP 404; 400" in p["reason"]
        ]
    )
    assert parked["key"] == HUB_SESSION


def test_an_event_that_nobody_understands_is_parked_and_stops_nothing(
    begun, database, as_json, operate
):
    simulator, _ = begun
    set_status(database, "Available", 1)
    add_event(database, "session_ended")
    add_event(database, "evse_status_changed", evse_number=1)
    eventually(lambda: simulator.statuses()[EVSE] == "Available")
    (parked,) = eventually(lambda: as_json("hub", "parked"))
    assert parked["queue"] == "outbox"
    assert "session_ended" in parked["reason"]
    database.execute(
        "UPDATE events SET payload = '{\"session_id\": 1}' WHERE kind = 'session_ended'"
    )
    assert operate("hub", "requeue", "--all") == 0
    eventually(
        lambda: not database.execute("SELECT 1 FROM events WHERE relayed_at IS NULL").fetchone()
    )
    assert as_json("hub", "parked") == []


def test_evses_come_and_go_at_the_hub(begun, operate, import_evses, tmp_path):
    simulator, _ = begun
    assert operate("evses", "withdraw", EVSE) == 0
    eventually(lambda: set(simulator.statuses()) == {"DE*VNI*E1*2"})
    assert operate("evses", "offer", EVSE) == 0
    eventually(lambda: len(simulator.statuses()) == 2)
    # A new name is another EVSE to the hub.
    prices = tmp_path / "prices.csv"
    prices.write_text("product_id,currency,price,max_power_kw\nAC,EUR,0.41,22\n")
    assert operate("prices", "import", prices) == 0
    import_evses(evse_row(1, evse_id="DE*VNI*E9", prices="AC"), evse_row(2))
    eventually(lambda: set(simulator.statuses()) == {"DE*VNI*E9", "DE*VNI*E1*2"})
    eventually(
        lambda: (
            {e["evse"]: e["products"] for e in simulator.control.get("/evses")}
            == {"DE*VNI*E9": ["AC"], "DE*VNI*E1*2": []}
        ),
        30,
    )
    assert operate("prices", "remove", "AC") == 1
    assert operate("evses", "withdraw", "DE*VNI*E404") == 1
    assert simulator.violations() == []


def test_a_charging_point_that_stays_away_is_out_of_service(
    run_hub_simulator, run_relay, import_evses, database
):
    simulator = run_hub_simulator("--no-limits")
    import_evses(evse_row(1))
    set_status(database, "Available")
    run_relay(simulator.url, offline_grace="1")
    eventually(lambda: simulator.statuses() == {EVSE: "OutOfService"}, 20)
    add_connection(database, add_node(database))
    eventually(lambda: simulator.statuses() == {EVSE: "Available"}, 20)
    assert simulator.violations() == []
