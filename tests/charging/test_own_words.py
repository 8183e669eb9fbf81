"""Our words in the database, beside those that charging points and the hub use (migration 0005)."""

import json
import re

import psycopg
import pytest

from charging.authorization import AuthorizationKind, Decision
from charging.command import CommandState
from charging.database.migrate import downgrade, upgrade
from charging.delivery import DeliveryState
from charging.evse import EvseState
from charging.hub_session import HubSessionOrigin, HubSessionState, ReservationState
from charging.refusal import Refusal
from charging.session import SessionState, StopCause
from tests.databases import new_database
from tests.rows import add_charging_point, add_evse, insert

STATES = {
    None: EvseState.UNKNOWN,
    "Available": EvseState.AVAILABLE,
    "Preparing": EvseState.PREPARING,
    "Charging": EvseState.CHARGING,
    "SuspendedEV": EvseState.SUSPENDED_BY_VEHICLE,
    "SuspendedEVSE": EvseState.SUSPENDED_BY_STATION,
    "Finishing": EvseState.FINISHING,
    "Reserved": EvseState.RESERVED,
    "Unavailable": EvseState.UNAVAILABLE,
    "Faulted": EvseState.FAULTED,
    "Sleeping": EvseState.UNKNOWN,
}
CAUSES = {
    None: None,
    "Local": StopCause.LOCAL,
    "Remote": StopCause.REMOTE,
    "EVDisconnected": StopCause.UNPLUGGED,
    "UnlockCommand": StopCause.UNLOCKED,
    "DeAuthorized": StopCause.NOT_AUTHORIZED,
    "Reboot": StopCause.RESTART,
    "SoftReset": StopCause.RESTART,
    "HardReset": StopCause.HARD_RESTART,
    "PowerLoss": StopCause.POWER_LOSS,
    "EmergencyStop": StopCause.EMERGENCY_STOP,
    "Other": StopCause.OTHER,
    "Sunset": StopCause.OTHER,
}
DECISIONS = {
    "Accepted": Decision.ACCEPTED,
    "Blocked": Decision.BLOCKED,
    "Expired": Decision.EXPIRED,
    "Invalid": Decision.UNKNOWN,
    "ConcurrentTx": Decision.REFUSED,
}
REFUSALS = {
    "000": None,
    "017": Refusal.OTHER_PROVIDER,
    "320": Refusal.NOT_OFFERED,
    "400": Refusal.SESSION_UNKNOWN,
    "501": Refusal.OFFLINE,
    "510": Refusal.NO_VEHICLE,
    "601": Refusal.RESERVED,
    "602": Refusal.IN_USE,
    "603": Refusal.EVSE_UNKNOWN,
    "604": Refusal.NOT_ROAMING,
    "700": Refusal.OUT_OF_SERVICE,
    "009": Refusal.REJECTED,
}
SIGNED = [
    {"value": "A", "context": "Transaction.Begin", "format": "SignedData"},
    {"value": "1000", "format": "Raw"},
    {"value": "B", "context": "Sample.Clock", "format": "SignedData"},
    {"format": "SignedData"},
    {"value": "C", "context": "Transaction.End", "format": "SignedData"},
]


@pytest.mark.parametrize(
    ("table", "column", "words"),
    [
        ("evses", "state", EvseState),
        ("sessions", "state", SessionState),
        ("sessions", "stop_cause", StopCause),
        ("sessions", "start_decision", Decision),
        ("sessions", "stop_decision", Decision),
        ("hub_sessions", "state", HubSessionState),
        ("hub_sessions", "origin", HubSessionOrigin),
        ("hub_sessions", "start_refusal", Refusal),
        ("reservations", "state", ReservationState),
        ("reservations", "start_refusal", Refusal),
        ("commands", "state", CommandState),
        ("deliveries", "state", DeliveryState),
        ("authorizations", "kind", AuthorizationKind),
    ],
)
def test_the_database_allows_the_words_that_the_business_has(database, table, column, words):
    row = database.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = %s::regclass AND conname = %s",
        [table, f"{table}_{column}_check"],
    ).fetchone()
    assert set(re.findall(r"'([^']+)'", row[0])) == {word.value for word in words}


def session(database, number, **columns):
    return insert(
        database,
        "sessions",
        **{
            "charging_point_id": "CP1",
            "evse_number": 1,
            "id_tag": "T",
            "state": "charging",
            "started_at": f"2026-01-01T00:00:{number:02d}Z",
            "meter_start_wh": 0,
            **columns,
        },
    )


def ended(**columns):
    return {
        "state": "ended",
        "ended_at": "2026-01-01T01:00:00Z",
        "meter_stop_wh": 5000,
        "start_status": "Accepted",
        **columns,
    }


def hub_session(database, number, answer):
    hub = {
        "hub_session_id": f"H{number}",
        "provider_id": "DE-DCB",
        "charging_point_id": "CP1",
        "evse_number": 1,
        "identification": {},
        "id_tag": f"HUB{number}",
        "cpo_partner_session_id": "P",
        "start_answer": answer,
    }
    insert(database, "hub_sessions", evse_id="DE*VNI*E1", **hub)
    insert(database, "reservations", expires_at="2026-01-01T01:00:00Z", **hub)


def fill_before(database):
    """Rows of the version before in every table that the migration touches."""
    add_charging_point(database)
    for number, status in enumerate(STATES):
        add_evse(database, number, status=status, error_code="NoError")
    for number, status in enumerate(DECISIONS):
        session(database, number, start_status=status)
    for number, reason in enumerate(CAUSES, 10):
        session(database, number, **ended(stop_reason=reason))
    for number, status in enumerate(DECISIONS, 30):
        session(database, number, **ended(stop_status=status, stop_id_tag="T"))
    for number, code in enumerate(REFUSALS):
        hub_session(database, number, {"Result": code == "000", "StatusCode": {"Code": code}})
    hub_session(database, len(REFUSALS), None)
    insert(
        database,
        "meter_values",
        charging_point_id="CP1",
        evse_number=1,
        sampled_at="2026-01-01T00:00:00Z",
        sampled_values=SIGNED,
        digest=1,
    )


TABLES = ("charging_points", "evses", "sessions", "hub_sessions", "reservations", "meter_values")


def everything(database):
    """Every row of the touched tables as JSON."""
    return {
        table: sorted(
            row[0] for row in database.execute(f"SELECT to_jsonb(t)::text FROM {table} AS t")
        )
        for table in TABLES
    }


@pytest.fixture
def before_url(server_url, worker_id):
    with new_database(server_url, f"words_{worker_id}") as url:
        upgrade(url, "0004")
        yield url


def test_rows_get_our_words_and_lose_nothing_on_the_way_back(before_url):
    with psycopg.connect(before_url, autocommit=True) as database:
        fill_before(database)
        before = everything(database)
    upgrade(before_url, "0005")
    with psycopg.connect(before_url, autocommit=True) as database:
        states = database.execute("SELECT status, state FROM evses").fetchall()
        assert dict(states) == STATES
        starts = database.execute(
            "SELECT start_status, start_decision FROM sessions WHERE state = 'charging'"
        ).fetchall()
        assert dict(starts) == DECISIONS
        causes = database.execute(
            "SELECT stop_reason, stop_cause FROM sessions WHERE stop_status IS NULL"
        ).fetchall()
        assert dict(causes) == CAUSES
        stops = database.execute(
            "SELECT stop_status, stop_decision FROM sessions WHERE stop_status IS NOT NULL"
        ).fetchall()
        assert dict(stops) == DECISIONS
        for table in ("hub_sessions", "reservations"):
            refusals = database.execute(
                "SELECT start_answer #>> '{StatusCode,Code}', start_refusal"
                f" FROM {table} WHERE start_answer IS NOT NULL"
            ).fetchall()
            assert dict(refusals) == REFUSALS
        unanswered = "SELECT start_refusal FROM hub_sessions WHERE start_answer IS NULL"
        assert database.execute(unanswered).fetchall() == [(None,)]
        assert database.execute("SELECT ocpp_versions FROM charging_points").fetchone() == (None,)
    downgrade(before_url, "0004")
    with psycopg.connect(before_url, autocommit=True) as database:
        assert everything(database) == before
    upgrade(before_url, "0005")


def test_what_the_services_after_wrote_goes_back_in_the_words_of_before(before_url):
    upgrade(before_url, "0005")
    with psycopg.connect(before_url, autocommit=True) as database:
        add_charging_point(database, ocpp_versions="{1.6}")
        add_evse(database, 1, status="Occupied", state="charging")
        for number, decision in enumerate(Decision):
            session(database, number, start_decision=decision.value)
    downgrade(before_url, "0004")
    with psycopg.connect(before_url, autocommit=True) as database:
        assert database.execute("SELECT status FROM evses").fetchone() == ("Occupied",)
        rows = database.execute("SELECT start_status FROM sessions ORDER BY started_at").fetchall()
        assert rows == [("Accepted",), ("Blocked",), ("Expired",), ("Invalid",), ("Invalid",)]


UPSERT = """
    INSERT INTO evses (charging_point_id, evse_number, status{more})
    VALUES ('CP1', 1, %s{values})
    ON CONFLICT (charging_point_id, evse_number) DO UPDATE SET status = excluded.status{sets}
"""
REPORT_OF_BEFORE = UPSERT.format(more="", values="", sets="")
REPORT = UPSERT.format(more=", state", values=", %s", sets=", state = excluded.state")


def state(database):
    return database.execute("SELECT status, state FROM evses").fetchone()


def test_a_status_that_the_services_before_note_gets_our_word(database):
    add_charging_point(database)
    for reported in [*STATES][1:-1]:
        database.execute(REPORT_OF_BEFORE, [reported])
        assert state(database) == (reported, STATES[reported])
        database.execute(REPORT_OF_BEFORE, [reported])
        assert state(database) == (reported, STATES[reported])


def test_a_state_that_the_services_after_note_stays_as_they_wrote_it(database):
    add_charging_point(database)
    add_evse(database, 1)
    assert state(database) == (None, "unknown")
    for reported, own in [
        ("Occupied", "occupied"),
        ("Occupied", "charging"),
        ("Busy", "charging"),
        ("Charging", "charging"),
        ("Gone", "unknown"),
        ("Lost", "unknown"),
    ]:
        database.execute(REPORT, [reported, own])
        assert state(database) == (reported, own)
    # A service of before takes over.
    database.execute(REPORT_OF_BEFORE, ["Available"])
    assert state(database) == ("Available", "available")


def test_decisions_are_kept_in_step_both_ways(database):
    add_charging_point(database)
    old = session(database, 1, start_status="Invalid")
    new = session(database, 2, start_decision="refused")
    assert (old["start_decision"], new["start_status"]) == ("unknown", "Invalid")
    words = "SELECT start_status, start_decision FROM sessions ORDER BY session_id"
    database.execute("UPDATE sessions SET start_status = 'Accepted' WHERE session_id = 1")
    database.execute("UPDATE sessions SET start_decision = 'accepted' WHERE session_id = 2")
    assert database.execute(words).fetchall() == [("Accepted", "accepted")] * 2
    end = "UPDATE sessions SET state = 'ended', ended_at = now(), meter_stop_wh = 1"
    database.execute(
        f"{end}, stop_reason = 'HardReset', stop_status = 'Blocked' WHERE session_id = 1"
    )
    database.execute(
        f"{end}, stop_reason = 'Tempest', stop_cause = 'fault', stop_decision = 'expired'"
        " WHERE session_id = 2"
    )
    assert database.execute(
        "SELECT stop_cause, stop_status, stop_decision FROM sessions ORDER BY session_id"
    ).fetchall() == [("hard_restart", "Blocked", "blocked"), ("fault", "Expired", "expired")]


@pytest.mark.parametrize("table", ["hub_sessions", "reservations"])
def test_an_answer_of_the_services_before_gets_our_word(database, table):
    add_charging_point(database)
    for number, (code, refusal) in enumerate(REFUSALS.items()):
        hub_session(database, number, None)
        answer = f'{{"Result": false, "StatusCode": {{"Code": "{code}"}}}}'
        database.execute(
            f"UPDATE {table} SET start_answer = %s WHERE hub_session_id = %s",
            [answer, f"H{number}"],
        )
        assert database.execute(
            f"SELECT start_refusal FROM {table} WHERE hub_session_id = %s", [f"H{number}"]
        ).fetchone() == (refusal,)


def test_signed_readings_are_read_out_of_samples(database):
    read = "SELECT signed_readings(%s::text::jsonb)"
    assert database.execute(read, [json.dumps(SIGNED)]).fetchone()[0] == [
        {"moment": "begin", "value": "A"},
        {"moment": "between", "value": "B"},
        {"moment": "between", "value": ""},
        {"moment": "end", "value": "C"},
    ]
    assert database.execute(read, [json.dumps(SIGNED[1:2])]).fetchone() == (None,)
    assert database.execute(read, ["[]"]).fetchone() == (None,)
