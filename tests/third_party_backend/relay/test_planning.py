"""What events and time make the relay plan: the decisions as tables, their SQL with PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from charging.delivery import Queue
from charging.event import EventKind
from charging.session import StopCause
from tests.rows import (
    EVSE,
    add_charging_point,
    add_connection,
    add_event,
    add_evse,
    add_hub_session,
    add_node,
    add_reading,
    add_session,
    insert,
)
from third_party_backend.oicp.records import HubSession
from third_party_backend.relay.database import connect, may_plan
from third_party_backend.relay.planner import PLANNERS, relay_events, run_alone
from third_party_backend.relay.planning import (
    notifications,
    presence,
    prices,
    reservations,
    sessions,
)
from third_party_backend.relay.planning.catalogue import Evse, wanted
from third_party_backend.relay.planning.context import Context
from third_party_backend.settings import Settings

HUB_SESSION = "b2688855-7f00-0002-6d8e-48d883f6abb6"
DETAILS = {
    "name": "Harbour",
    "language": "en",
    "country": "DEU",
    "city": "Kiel",
    "street": "Kai",
    "house_number": "1",
    "postal_code": "24103",
    "latitude": "54.323000",
    "longitude": "10.140000",
    "plugs": ["Type 2 Outlet"],
    "power_type": "AC_3_PHASE",
    "power_kw": "22",
    "renewable_energy": False,
    "calibration_law": "Not Available",
    "authentication_modes": ["REMOTE"],
    "payment_options": ["Contract"],
    "value_added_services": ["None"],
    "accessibility": "Test Station",
    "hotline": "+4943112345",
    "opening": ["24/7"],
}
NOW = datetime(2026, 7, 1, 12, tzinfo=UTC)
AN_HOUR_AGO = datetime.now(UTC) - timedelta(hours=1, minutes=1)
SESSION = HubSession(HUB_SESSION, EVSE, {"RemoteIdentification": {}}, "ours", None)


def evse(**more):
    facts = {
        "evse_id": EVSE,
        "key": "DEVNIE11",
        "roaming": True,
        "state": "available",
        "whole_state": "unknown",
        "absent": False,
        "details": DETAILS,
    }
    return Evse(**{**facts, **more})


@pytest.mark.parametrize(
    ("row", "status"),
    [
        (evse(), "Available"),
        (evse(state="charging"), "Occupied"),
        (evse(state="unknown"), "Unknown"),
        (evse(whole_state="faulted"), "OutOfService"),
        (evse(absent=True), "OutOfService"),
    ],
)
def test_an_evse_of_roaming_is_wanted_with_its_status(row, status):
    result = wanted([row], {})
    assert list(result.data) == [row.key]
    assert result.statuses == {row.key: {"EvseID": EVSE, "EvseStatus": status}}
    assert (result.prices, result.gone) == ({}, [])


@pytest.mark.parametrize("row", [evse(roaming=False), evse(details=None)])
def test_one_that_is_not_offered_or_not_filled_in_is_to_go(row):
    result = wanted([row], {})
    assert (result.data, result.statuses, result.gone) == ({}, {}, [row.key])


def test_prices_are_grouped_by_provider():
    row = evse(details={**DETAILS, "prices": ["AC", "NIGHT", "UNKNOWN"]})
    result = wanted([row], {"AC": ["*", "DE-EMP"], "NIGHT": ["DE-EMP"]})
    assert {key: price["EvseIDProductList"] for key, price in result.prices.items()} == {
        "DEVNIE11/*": ["AC"],
        "DEVNIE11/DE-EMP": ["AC", "NIGHT"],
    }


SETTINGS = Settings(operator_id="DE*VNI", operator_name="VNI", start_timeout=60)


def begun(**more):
    facts = {
        "hub": SESSION,
        "session_id": 1,
        "started_at": NOW - timedelta(hours=1),
        "meter_start_wh": 1000,
        "ended_at": NOW,
        "meter_stop_wh": 2500,
        "stop_cause": StopCause.LOCAL,
        "doubts": [],
        "authorized_at": NOW - timedelta(hours=1, minutes=1),
        "found_right": False,
        "details": DETAILS,
    }
    return sessions.Begun(**{**facts, **more})


def ending(session, signed=()):
    return sessions.ending(session, [], list(signed), NOW, SETTINGS)


def kinds(planned):
    return [(p.queue, p.key.removeprefix(HUB_SESSION), bool(p.parked)) for p in planned]


PARKED = [(Queue.CHARGE_DETAIL_RECORD, "", True)]
SENT = [(Queue.NOTIFICATION, "/end", False), (Queue.CHARGE_DETAIL_RECORD, "", False)]
EXTERNAL = {**DETAILS, "calibration_law": "External"}


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, SENT),
        (
            {"stop_cause": StopCause.POWER_LOSS},
            [(Queue.NOTIFICATION, "/error", False), (Queue.CHARGE_DETAIL_RECORD, "", False)],
        ),
        # What would be a wrong bill waits for a person, and no End is sent either.
        ({"meter_stop_wh": 0}, PARKED),
        ({"meter_stop_wh": 1_001_001}, PARKED),
        ({"ended_at": NOW + timedelta(hours=1)}, PARKED),
        # 22 kW give 26.4 kWh an hour with the margin, and registers round.
        ({"meter_stop_wh": 1000 + 27_400}, SENT),
        ({"meter_stop_wh": 1000 + 27_401}, PARKED),
        ({"started_at": NOW - timedelta(seconds=2), "meter_stop_wh": 812_345}, PARKED),
        ({"started_at": datetime(1970, 1, 1, tzinfo=UTC)}, PARKED),
        ({"started_at": datetime(1970, 1, 1, tzinfo=UTC), "authorized_at": None}, PARKED),
        ({"started_at": NOW - timedelta(hours=4)}, PARKED),
        # A card may be asked about after its session has begun.
        ({"started_at": NOW - timedelta(days=3), "authorized_at": None}, SENT),
        ({"doubts": ["start_register"]}, PARKED),
        ({"doubts": ["clock", "stop_register"]}, SENT),
        ({"started_at": NOW - timedelta(hours=4), "found_right": True}, SENT),
        ({"meter_stop_wh": 0, "found_right": True}, PARKED),
        # Of an EVSE that nobody filled in no power is known.
        ({"meter_stop_wh": 900_000, "details": {}}, SENT),
    ],
)
def test_the_end_of_a_session(facts, expected):
    assert kinds(ending(begun(**facts))) == expected


def test_what_is_parked_says_why_and_what_could_be_done():
    (parked,) = ending(begun(meter_stop_wh=812_345))
    assert "811.345 kWh in 3600 s are more than 22 kW can give" in parked.parked
    assert "proposal: bill at most 27.4 kWh" in parked.parked


def test_signed_values_that_are_demanded_and_do_not_fit_wait_for_a_person():
    signed = [("begin", "a"), ("end", "x" * 3001)]
    assert kinds(ending(begun(), signed)) == SENT
    assert kinds(ending(begun(details=EXTERNAL), signed)) == PARKED


def test_a_clock_a_little_ahead_makes_all_wait():
    at = NOW + timedelta(minutes=2)
    assert [p.due_at for p in ending(begun(ended_at=at))] == [at, at]
    assert sessions.start(begun(started_at=at), NOW, "DE*VNI").due_at == at
    # Further ahead it is no Start at all: the record will say why.
    assert sessions.start(begun(started_at=NOW + timedelta(hours=1)), NOW, "DE*VNI") is None


def test_every_kind_of_event_has_a_planner():
    assert set(PLANNERS) == set(EventKind)


# With PostgreSQL.


@pytest.fixture
def context(database_url):
    with connect(database_url, "test") as connection:
        yield Context(connection, SETTINGS)


@pytest.fixture
def planned(database):
    """What is planned: (queue, key) → (state, payload)."""
    return lambda: {
        (queue, key): (state, payload)
        for queue, key, state, payload in database.execute(
            "SELECT queue, key, state, payload FROM deliveries"
        )
    }


@pytest.fixture
def unrelayed(database):
    return lambda: database.execute(
        "SELECT count(*) FROM events WHERE relayed_at IS NULL"
    ).fetchone()[0]


@pytest.fixture
def site(database):
    """CP1 with EVSE 1, offered for roaming and filled in, online."""
    add_charging_point(database)
    add_evse(database, 1, EVSE, roaming=True, state="available")
    insert(database, "evse_details", charging_point_id="CP1", evse_number=1, details=DETAILS)
    node = add_node(database)
    add_connection(database, node, connected_at=datetime.now(UTC) - timedelta(days=2))
    return database


def test_a_session_is_planned_from_start_to_record(site, context, planned, unrelayed):
    session = add_session(site)
    add_reading(site, session, 1500, sampled_at=datetime.now(UTC) - timedelta(minutes=30))
    add_hub_session(site, HUB_SESSION, session_id=session, state="ended", created_at=AN_HOUR_AGO)
    add_event(site, "session_started", session_id=session)
    add_event(site, "session_ended", session_id=session)
    assert relay_events(context) == 2
    found = planned()
    assert set(found) == {
        ("notification", f"{HUB_SESSION}/start"),
        ("notification", f"{HUB_SESSION}/end"),
        ("charge-detail-record", HUB_SESSION),
    }
    state, record = found["charge-detail-record", HUB_SESSION]
    assert (state, record["ConsumedEnergy"]) == ("waiting", 1.5)
    assert record["ChargingStart"].endswith(("+01:00", "+02:00"))
    assert record["MeterValueInBetween"] == {"meterValues": [1.5]}
    assert unrelayed() == 0
    # Planned again, it is there already: one record a session, whatever happens.
    add_event(site, "session_ended", session_id=session)
    relay_events(context)
    assert planned() == found


def test_own_sessions_are_not_the_hubs(site, context, planned):
    add_event(site, "session_ended", session_id=add_session(site))
    refused = add_session(site, meter_stop_wh=1000)
    add_hub_session(site, HUB_SESSION, session_id=refused, state="refused")
    add_event(site, "session_ended", session_id=refused)
    relay_events(context)
    assert planned() == {}


@pytest.mark.parametrize(
    ("bound", "state", "key"),
    [
        (True, "refused", HUB_SESSION),
        (False, "refused", f"{HUB_SESSION}/late/1"),
        (False, "ended", f"{HUB_SESSION}/late/1"),
    ],
)
def test_what_charged_with_a_start_that_the_hub_does_not_pay_waits_for_a_person(
    site, context, planned, bound, state, key
):
    session = add_session(site, id_tag="HUB0123456789ABCDEF")
    add_hub_session(
        site, HUB_SESSION, id_tag="HUB0123456789ABCDEF", state=state,
        session_id=session if bound else None,
    )  # fmt: skip
    add_event(site, "session_ended", session_id=session)
    relay_events(context)
    assert planned()["charge-detail-record", key] == ("parked", None)
    (reason,) = site.execute("SELECT reason FROM deliveries").fetchone()
    assert "charged 1.500 kWh" in reason


def test_a_second_different_record_is_parked_beside_the_first(site, context, planned):
    record = {"queue": "charge-detail-record", "key": HUB_SESSION, "hub_session_id": HUB_SESSION}
    insert(site, "deliveries", **record, state="delivered", payload={"ConsumedEnergy": 0})
    session = add_session(site)
    add_hub_session(site, HUB_SESSION, session_id=session, state="ended", created_at=AN_HOUR_AGO)
    for _ in range(2):
        add_event(site, "session_ended", session_id=session)
        relay_events(context)
    records = {key: found for (queue, key), found in planned().items() if queue == record["queue"]}
    first = records.pop(HUB_SESSION)
    assert first == ("delivered", {"ConsumedEnergy": 0})
    ((key, (state, second)),) = records.items()
    assert key.startswith(f"{HUB_SESSION}/again/")
    assert (state, second["ConsumedEnergy"]) == ("parked", 1.5)


def test_a_record_with_energy_replaces_an_empty_one_that_has_not_gone_out(site, context, planned):
    session = add_session(site)
    add_hub_session(site, HUB_SESSION, session_id=session, state="ended", created_at=AN_HOUR_AGO)
    add_event(site, "session_ended", session_id=session)
    add_event(site, "hub_session_closed", hub_session_id=HUB_SESSION, why="stopped")
    relay_events(context)
    # … and no empty one replaces it.
    records = [found for (queue, _), found in planned().items() if queue == "charge-detail-record"]
    assert [(state, record["ConsumedEnergy"]) for state, record in records] == [("waiting", 1.5)]
    site.execute("UPDATE deliveries SET payload = '{}' WHERE queue = 'charge-detail-record'")
    add_event(site, "session_ended", session_id=session)
    relay_events(context)
    assert planned()["charge-detail-record", HUB_SESSION][1]["ConsumedEnergy"] == 1.5


def test_a_renamed_evse_keeps_its_name_in_running_sessions(site, context, planned):
    session = add_session(site, state="charging")
    add_hub_session(site, HUB_SESSION, session_id=session, evse_id=None, created_at=AN_HOUR_AGO)
    add_event(site, "session_started", session_id=session)
    relay_events(context)
    site.execute("UPDATE evses SET evse_id = 'DE*VNI*E9', evse_id_key = 'DEVNIE9'")
    site.execute(
        "UPDATE sessions SET state = 'ended', ended_at = now(), meter_stop_wh = 3000,"
        " stop_reason = 'Local'"
    )
    add_event(site, "session_ended", session_id=session)
    relay_events(context)
    assert planned()["charge-detail-record", HUB_SESSION][1]["EvseID"] == EVSE


@pytest.mark.parametrize(("back_for_seconds", "state"), [(2, "accepted"), (301, "ended")])
def test_after_a_reconnect_what_is_queued_at_the_charging_point_is_waited_for(
    site, context, back_for_seconds, state
):
    now = datetime.now(UTC)
    add_hub_session(site, HUB_SESSION, created_at=now - timedelta(hours=1))
    site.execute(
        "UPDATE connections SET connected_at = %s", [now - timedelta(seconds=back_for_seconds)]
    )
    run_alone(context, sessions.close_unstarted)
    assert site.execute("SELECT state FROM hub_sessions").fetchone() == (state,)


def test_the_default_price_is_the_same_whatever_has_changed():
    def price(amount, **more):
        return {**PRICE, "price": amount, **more}

    rows = [
        ("*", "AC", price("0.41")),
        ("*", "DC", price("0.69", is_default=True)),
        ("DE-EMP", "B", price("0.52")),
        ("DE-EMP", "A", price("0.51")),
        ("DE-OTH", "C", price("0.3")),
        ("DE-OTH", "D", price("0.2", is_default=True)),
    ]
    for order in (rows, rows[::-1]):
        found = prices.default_prices(order)
        assert {name: details["price"] for name, details in found.items()} == {
            "*": "0.69",
            "DE-EMP": "0.69",
            "DE-OTH": "0.2",
        }
    assert prices.default_prices(rows[2:4])["DE-EMP"]["price"] == "0.51"


def test_the_event_at_fault_is_parked_and_the_others_are_planned(site, context, planned, unrelayed):
    add_event(site, "session_ended", wrong=1)
    add_event(site, "evse_changed", evse_number=1)
    add_event(site, "flag_hoisted")
    assert relay_events(context) == 3
    assert unrelayed() == 0
    found = planned()
    assert {key: found["outbox", key][0] for _, key in found if ("outbox", key) in found} == {
        "1": "parked",
        "3": "parked",
    }
    assert found["evse-data", "DEVNIE11"][0] == "waiting"
    assert found["evse-status", "DEVNIE11"][1]["EvseStatus"] == "Available"


def test_while_another_relay_plans_nothing_is_read(site, context, planned, unrelayed, database_url):
    add_event(site, "evse_changed", evse_number=1)
    with connect(database_url, "other") as other, other.transaction():
        assert may_plan(other)
        assert relay_events(context) == 0
        run_alone(context, presence.watch)
    assert (planned(), unrelayed()) == ({}, 1)
    assert relay_events(context) == 1


def test_an_evse_that_is_withdrawn_goes_with_its_prices(site, context, planned):
    insert(site, "price_products", provider_id="*", product_id="AC", details=PRICE)
    site.execute('UPDATE evse_details SET details = details || \'{"prices": ["AC"]}\'')
    add_event(site, "prices_changed", "")
    relay_events(context)
    assert planned()["pricing-products", "*/AC"][0] == "waiting"
    assert planned()["evse-pricing", "DEVNIE11/*"][0] == "waiting"
    site.execute("UPDATE deliveries SET state = 'delivered', delivered = payload")
    site.execute("UPDATE evses SET roaming = false")
    add_event(site, "evse_changed", evse_number=1)
    relay_events(context)
    gone = {name: found for name, found in planned().items() if name[0].startswith("evse-")}
    assert set(gone.values()) == {("waiting", None)}
    assert len(gone) == 3


PRICE = {"unit": "KILOWATT_HOUR", "currency": "EUR", "price": "0.41", "max_power_kw": "22"}


def test_a_fault_is_an_error_of_the_session_that_charges_there(site, context, planned):
    session = add_session(site, state="charging")
    add_hub_session(site, HUB_SESSION, session_id=session)
    # Of the charging point as a whole, which is every EVSE's.
    add_event(
        site, "evse_status_changed", evse_number=0, state="faulted", error_code="GroundFailure"
    )
    add_event(site, "evse_status_changed", evse_number=1, state="charging", error_code="")
    relay_events(context)
    _, error = planned()["notification", f"{HUB_SESSION}/error"]
    assert error["ErrorType"] == "CriticalError"
    assert "GroundFailure" in error["ErrorAdditionalInfo"]


@pytest.mark.parametrize(
    ("age_seconds", "online", "state"),
    [
        (30, True, "accepted"),
        (90, True, "ended"),
        (90, False, "accepted"),
        (90_000, False, "ended"),
    ],
)
def test_a_vehicle_that_never_comes_ends_the_session(
    site, context, planned, age_seconds, online, state
):
    add_hub_session(
        site, HUB_SESSION, created_at=datetime.now(UTC) - timedelta(seconds=age_seconds)
    )
    if not online:
        site.execute("DELETE FROM connections")
    run_alone(context, sessions.close_unstarted)
    assert site.execute("SELECT state FROM hub_sessions").fetchone() == (state,)
    relay_events(context)
    assert (("charge-detail-record", HUB_SESSION) in planned()) == (state == "ended")
    assert (("notification", f"{HUB_SESSION}/error") in planned()) == (state == "ended")


def test_a_start_that_no_worker_answered_starts_nothing(site, context):
    add_hub_session(
        site, HUB_SESSION, state="asked", created_at=datetime.now(UTC) - timedelta(seconds=61)
    )
    run_alone(context, sessions.close_unstarted)
    assert site.execute("SELECT state FROM hub_sessions").fetchone() == ("refused",)


def test_a_reservation_that_ran_out_gets_a_record_of_nothing(site, context, planned):
    reservation = insert(
        site,
        "reservations",
        hub_session_id=HUB_SESSION,
        provider_id="DE-EMP",
        charging_point_id="CP1",
        evse_number=1,
        identification={},
        id_tag="HUB0",
        cpo_partner_session_id="ours",
        state="reserved",
        expires_at=datetime.now(UTC) - timedelta(seconds=1),
    )
    run_alone(context, reservations.expire)
    assert site.execute("SELECT state FROM reservations").fetchone() == ("expired",)
    relay_events(context)
    _, record = planned()["charge-detail-record", HUB_SESSION]
    assert record["ConsumedEnergy"] == 0
    # One whose session charged is closed by that session's record.
    site.execute("DELETE FROM deliveries")
    add_hub_session(site, HUB_SESSION, state="ended")
    add_event(site, "reservation_ended", reservation_id=reservation["reservation_id"])
    relay_events(context)
    assert planned() == {}


def test_who_stays_offline_is_out_of_service_until_it_is_back(site, context, planned):
    def status():
        run_alone(context, presence.watch)
        found = planned().get(("evse-status", "DEVNIE11"))
        return found and found[1]["EvseStatus"]

    assert status() is None
    site.execute("DELETE FROM connections")
    assert status() is None
    site.execute("UPDATE absences SET since = now() - interval '1 hour'")
    assert status() == "OutOfService"
    add_connection(site, add_node(site))
    assert status() == "Available"
    assert site.execute("SELECT count(*) FROM absences").fetchone() == (0,)


def test_progress_follows_a_start_that_was_delivered(site, context, planned):
    session = add_session(site, state="charging")
    add_hub_session(site, HUB_SESSION, session_id=session)
    add_reading(site, session, 2500)
    run_alone(context, sessions.progress)
    assert planned() == {}
    insert(
        site,
        "deliveries",
        queue="notification",
        key=f"{HUB_SESSION}/start",
        state="delivered",
        settled_at=datetime.now(UTC) - timedelta(minutes=6),
    )
    run_alone(context, sessions.progress)
    _, progress = planned()["notification", f"{HUB_SESSION}/progress"]
    assert progress["ConsumedEnergyProgress"] == 1.5
    # The end makes what still waits of it pointless.
    site.execute(
        "UPDATE sessions SET state = 'ended', ended_at = now(), meter_stop_wh = 3000,"
        " stop_reason = 'Local'"
    )
    add_event(site, "session_ended", session_id=session)
    relay_events(context)
    assert planned()["notification", f"{HUB_SESSION}/progress"][0] == "dropped"


def test_notifications_that_come_too_late_are_dropped(site, context, planned):
    insert(
        site,
        "deliveries",
        queue="charge-detail-record",
        key=HUB_SESSION,
        hub_session_id=HUB_SESSION,
        state="delivered",
        settled_at=datetime.now(UTC) - timedelta(seconds=121),
    )
    insert(
        site,
        "deliveries",
        queue="notification",
        key=f"{HUB_SESSION}/end",
        hub_session_id=HUB_SESSION,
        payload={},
    )
    run_alone(context, notifications.drop_late_notifications)
    assert planned()["notification", f"{HUB_SESSION}/end"][0] == "dropped"


def test_a_job_that_fails_stops_nothing(site, context, planned):
    def broken(context):
        context.connection.execute("UPDATE evses SET roaming = false")
        raise KeyError("broken")

    run_alone(context, broken)
    assert site.execute("SELECT roaming FROM evses").fetchone() == (True,)
