"""Ends of sessions that a person sets: each with a reason, and what was before beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from charging.database import audit, corrections
from charging.database.audit import Asker
from charging.database.connection import rows
from operations import session_ends, sessions
from operations.errors import ConflictError, InvalidError, NotFoundError
from tests.rows import add_charging_point, add_hub_session, add_reading, add_session, insert

BY = Asker("Ada", "tests")
BEGAN = datetime(2026, 1, 1, 10, tzinfo=UTC)
AT = BEGAN + timedelta(hours=1)


@pytest.fixture
def charging(database):
    """A session that began with 1,000 Wh and whose last reading is 6,000 Wh."""
    add_charging_point(database)
    number = add_session(database, state="charging", started_at=BEGAN)
    add_reading(database, number, 6_000, sampled_at=BEGAN + timedelta(minutes=30))
    return number


def add_fact(database, charging_point="CP1", **payload):
    payload = {"transactionId": 0, "meterStop": 7000, "timestamp": AT.isoformat(), **payload}
    return insert(
        database,
        "unassigned_facts",
        charging_point_id=charging_point,
        action="StopTransaction",
        payload=payload,
        digest=len(rows(database, "SELECT 1 FROM unassigned_facts")),
    )["fact_id"]


def told(database):
    """The sessions whose end the relay is told, in order."""
    found = rows(database, "SELECT payload FROM events WHERE kind = 'session_ended'")
    return [row["payload"]["session_id"] for row in found]


def test_a_session_whose_stop_will_not_come_ends_at_its_last_reading(database, charging):
    add_hub_session(database, "one", session_id=charging)
    ended = session_ends.end(database, charging, "removed", by=BY)
    assert (ended.energy_wh, ended.presumed) == (5000, "operator")
    assert ended.ended_at == BEGAN + timedelta(minutes=30)
    assert told(database) == [charging]
    assert rows(database, "SELECT state FROM hub_sessions") == [{"state": "ended"}]
    (entry,) = audit.read(database, limit=9)
    assert (entry.by, entry.action, entry.subject) == (BY, "end_session", "CP1")
    assert entry.detail == {"session": charging, "reason": "removed"}


def test_an_operator_may_know_better_than_the_readings(database, charging):
    ended = session_ends.end(database, charging, "read off", by=BY, at=AT, register_wh=7_000)
    assert (ended.energy_wh, ended.ended_at) == (6000, AT)


def test_a_fact_ends_the_session_that_it_is_assigned_to(database, charging):
    fact = add_fact(database)
    (waiting,) = sessions.list_unassigned(database)
    assert (waiting.register_wh, waiting.at) == (7000, AT)
    ended = session_ends.assign(database, fact, charging, "the only one", by=BY)
    assert (ended.energy_wh, ended.ended_at, ended.presumed) == (6000, AT, None)
    assert told(database) == [charging]
    assert sessions.list_unassigned(database) == []
    assert rows(database, "SELECT session_id, settled_reason FROM unassigned_facts") == [
        {"session_id": charging, "settled_reason": "the only one"}
    ]


def test_a_fact_corrects_an_end_that_was_presumed(database, charging):
    session_ends.end(database, charging, "removed", by=BY)
    ended = session_ends.assign(database, add_fact(database), charging, "it came", by=BY)
    assert (ended.energy_wh, ended.presumed) == (6000, None)
    (correction,) = corrections.of_session(database, charging)
    assert (correction.person, correction.was_final) == ("Ada", True)
    assert correction.before["meter_stop_wh"] == 6000
    assert correction.after["meter_stop_wh"] == 7000
    # the relay parks a second record beside the first
    assert told(database) == [charging, charging]


def test_a_presumed_end_that_is_not_final_yet_becomes_so(database):
    add_charging_point(database)
    number = add_session(database, started_at=BEGAN, presumed="available", end_final_at=None)
    session_ends.correct(database, number, "looked", by=BY, meter_stop_wh=3_000)
    assert told(database) == [number]
    (correction,) = corrections.of_session(database, number)
    assert not correction.was_final


def test_what_the_hub_has_already_is_for_a_person(database):
    add_charging_point(database)
    number = add_session(database, started_at=BEGAN)
    add_hub_session(database, "one", session_id=number, state="ended")
    record = {
        "queue": "charge-detail-record",
        "key": "one",
        "hub_session_id": "one",
        "payload": {"ConsumedEnergy": 1.5},
    }
    insert(database, "deliveries", state="delivered", **record)
    changed = session_ends.correct(database, number, "misread", by=BY, meter_stop_wh=3_000)
    assert changed.energy_wh == 2000
    assert changed.at_hub == (
        "its record says 1500 Wh: settle +500 Wh with DE-EMP, outside the hub"
    )
    assert told(database) == [number]
    database.execute("UPDATE deliveries SET state = 'parked'")
    changed = session_ends.correct(database, number, "again", by=BY, meter_stop_wh=3_100)
    assert changed.at_hub.startswith("`hub requeue ")
    assert [c.after["meter_stop_wh"] for c in corrections.of_session(database, number)] == [
        3000,
        3100,
    ]


def test_a_fact_may_be_put_aside(database, charging):
    fact = add_fact(database)
    session_ends.settle(database, fact, "a test of the maker", by=BY)
    assert sessions.list_unassigned(database) == []
    with pytest.raises(ConflictError):
        session_ends.assign(database, fact, charging, "after all", by=BY)


def test_what_cannot_be_is_refused_and_changes_nothing(database, charging):
    add_charging_point(database, "CP2")
    foreign = add_fact(database, "CP2")
    silent = add_fact(database, timestamp=None, meterStop=None)
    early = add_fact(database, timestamp="1970-01-01T00:00:00Z")
    for error, change in (
        (NotFoundError, lambda: session_ends.end(database, 999, "why", by=BY)),
        (InvalidError, lambda: session_ends.end(database, charging, " ", by=BY)),
        (InvalidError, lambda: session_ends.end(database, charging, "why", by=BY, register_wh=5)),
        (
            InvalidError,
            lambda: session_ends.end(
                database, charging, "why", by=BY, at=BEGAN - timedelta(hours=1)
            ),
        ),
        (ConflictError, lambda: session_ends.correct(database, charging, "why", by=BY)),
        (NotFoundError, lambda: session_ends.assign(database, 999, charging, "why", by=BY)),
        (ConflictError, lambda: session_ends.assign(database, foreign, charging, "why", by=BY)),
        (InvalidError, lambda: session_ends.assign(database, silent, charging, "why", by=BY)),
        (InvalidError, lambda: session_ends.assign(database, early, charging, "why", by=BY)),
        (NotFoundError, lambda: session_ends.settle(database, 999, "why", by=BY)),
    ):
        with pytest.raises(error):
            change()
    assert rows(database, "SELECT 1 FROM audit") == []
    assert rows(database, "SELECT 1 FROM unassigned_facts WHERE settled_at IS NOT NULL") == []
    assert sessions.get(database, charging)[0].state == "charging"
    session_ends.end(database, charging, "removed", by=BY)
    with pytest.raises(ConflictError):
        session_ends.end(database, charging, "twice", by=BY)
    with pytest.raises(InvalidError):
        session_ends.correct(database, charging, "the same", by=BY, meter_start_wh=1_000)
