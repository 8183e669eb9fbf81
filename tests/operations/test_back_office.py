"""The back office called as functions: typed results, typed errors, and who did what."""

from datetime import UTC, datetime

import pytest

from charging.command import CommandKind, Outcome
from charging.database import audit, commands
from charging.database.audit import Asker
from charging.database.connection import rows
from charging.intents import Reset, SetPassword
from operations import charging_points, evses, hub, prices, sessions, tokens
from operations import commands as back_office
from operations.errors import ConflictError, ExistsError, InvalidError, NotFoundError
from tests.rows import (
    add_charging_point,
    add_evse,
    add_hub_session,
    add_reading,
    add_session,
    insert,
)

BY = Asker("Ada", "tests")
PRICE = "product_id,currency,price,max_power_kw\nA,EUR,0.5,22\n"


def actions(database):
    """What was done, the oldest first."""
    done = audit.read(database, limit=100)
    assert {entry.by for entry in done} == {BY}
    return [(entry.action, entry.subject) for entry in reversed(done)]


def test_whatever_changes_something_says_who_did_it(database):
    charging_points.register(database, "CP1", by=BY)
    charging_points.renew_password(database, "CP1", by=BY)
    charging_points.set_registration(database, "CP1", "Pending", by=BY)
    tokens.add(database, "04a1b2c3", by=BY)
    tokens.set_blocked(database, "04A1B2C3", by=BY, blocked=True)
    evses.name(database, "CP1", 1, "DE*VNI*E1", by=BY)
    evses.set_roaming(database, ["DE*VNI*E1"], by=BY, roaming=False)
    prices.import_table(database, PRICE, by=BY)
    prices.remove(database, "A", by=BY)
    hub.request_full_load(database, "evse-data", by=BY)
    back_office.ask(database, "CP1", Reset(), by=BY)
    assert actions(database) == [
        ("register", "CP1"),
        ("renew_password", "CP1"),
        ("set_registration", "CP1"),
        ("add_token", "…2C3"),
        ("block_token", "…2C3"),
        ("name_evse", "CP1"),
        ("withdraw_evse", "CP1"),
        ("import_prices", ""),
        ("remove_price", "A"),
        ("full_load", "hub"),
        ("reset", "CP1"),
    ]


def test_what_was_not_done_nobody_did(database):
    add_charging_point(database)
    for error, operation in (
        (ExistsError, lambda: charging_points.register(database, "CP1", by=BY)),
        (InvalidError, lambda: charging_points.register(database, "::", by=BY)),
        (InvalidError, lambda: charging_points.set_registration(database, "CP1", "No", by=BY)),
        (NotFoundError, lambda: charging_points.renew_password(database, "CP2", by=BY)),
        (NotFoundError, lambda: tokens.set_blocked(database, "T1", by=BY, blocked=True)),
        (InvalidError, lambda: tokens.add(database, "", by=BY)),
        (NotFoundError, lambda: evses.name(database, "CP2", 1, "DE*VNI*E1", by=BY)),
        (NotFoundError, lambda: evses.set_roaming(database, ["DE*VNI*E1"], by=BY, roaming=True)),
        (NotFoundError, lambda: prices.remove(database, "A", by=BY)),
        (ConflictError, lambda: hub.drop(database, 1, "why", by=BY)),
        (ConflictError, lambda: hub.requeue(database, [1], by=BY)),
        (InvalidError, lambda: hub.requeue(database, by=BY)),
        (InvalidError, lambda: hub.request_full_load(database, "notification", by=BY)),
        (NotFoundError, lambda: back_office.remote_start(database, "CP2", "T1", by=BY)),
        (NotFoundError, lambda: back_office.remote_stop(database, 1, by=BY)),
        (NotFoundError, lambda: sessions.get(database, 1)),
        (InvalidError, lambda: sessions.list_newest(database, limit=0)),
    ):
        with pytest.raises(error):
            operation()
    assert rows(database, "SELECT 1 FROM audit") == []
    assert rows(database, "SELECT 1 FROM commands") == []
    assert rows(database, "SELECT 1 FROM events") == []


def test_several_operations_can_be_one_transaction(database):
    with database.transaction(force_rollback=True):
        charging_points.register(database, "CP1", by=BY)
        tokens.add(database, "T1", by=BY)
    assert charging_points.list_all(database) == []
    assert tokens.list_all(database) == []


def test_a_session_is_shown_in_our_words_and_in_the_charging_point_s(database):
    add_charging_point(database)
    add_evse(database, status="SuspendedEV", state="suspended_by_vehicle")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    number = add_session(
        database, id_tag="SECRET", stop_reason="EVDisconnected", stop_cause="unplugged"
    )
    add_reading(database, number, 1200, sampled_at=at)
    session, (reading,) = sessions.get(database, number)
    assert (session.stop_cause, session.stop_reason) == ("unplugged", "EVDisconnected")
    assert (session.token, session.energy_wh) == ("…RET", 1500)
    assert (reading.sampled_at, reading.energy_wh) == (at, 1200)
    (point,) = charging_points.list_all(database)
    assert (point.state, point.status) == ("1: suspended_by_vehicle", "1: SuspendedEV")
    (evse,) = evses.list_all(database)
    assert (evse.state, evse.status) == ("suspended_by_vehicle", "SuspendedEV")


def test_whatever_an_intent_says_can_be_asked(database):
    add_charging_point(database)
    queued = back_office.ask(database, "CP1", SetPassword(password="x" * 20), by=BY, seconds=0.1)
    (command,) = rows(database, "SELECT kind, person, program FROM commands")
    assert command == {"kind": "set_password", "person": "Ada", "program": "tests"}
    assert "xxx" not in str(audit.read(database, limit=1))
    assert commands.wait(database, queued.command, queued.seconds).outcome is Outcome.OFFLINE


def test_a_session_that_charges_can_be_stopped(database):
    add_charging_point(database)
    number = add_session(database, state="charging")
    queued = back_office.remote_stop(database, number, by=BY)
    (command,) = rows(database, "SELECT command_id, kind, arguments FROM commands")
    assert command == {
        "command_id": queued.command,
        "kind": CommandKind.REMOTE_STOP.value,
        "arguments": {"session_id": number},
    }


def test_a_record_that_could_not_be_written_is_written_again_from_its_session(database):
    add_charging_point(database)
    ended = add_session(database)
    add_hub_session(database, "one", session_id=ended, state="ended")
    add_hub_session(database, "two", state="ended", id_tag="HUB1")
    for key in ("one", "two"):
        insert(
            database,
            "deliveries",
            queue="charge-detail-record",
            key=key,
            hub_session_id=key,
            state="parked",
        )
    assert len(hub.requeue(database, by=BY, everything=True)) == 2
    assert rows(database, "SELECT 1 FROM deliveries") == []
    assert rows(database, "SELECT kind, payload FROM events ORDER BY event_id") == [
        {"kind": "session_ended", "payload": {"session_id": ended}},
        {"kind": "hub_session_closed", "payload": {"hub_session_id": "two", "why": "stopped"}},
    ]
