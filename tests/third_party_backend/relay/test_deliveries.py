"""The life of a row of `deliveries`: planned, due, settled, put off, parked, corrected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from charging.delivery import DeliveryState, Queue
from tests.rows import insert
from third_party_backend.oicp.calls import Action
from third_party_backend.relay import deliveries, planned
from third_party_backend.relay.database import connect
from third_party_backend.relay.deliveries import Delivery
from third_party_backend.relay.planned import Planned
from third_party_backend.relay.sender import group

NAME = "b2688855-7f00-0002-6d8e-48d883f6abb6"
EVSES, STATUSES = Queue.EVSE_DATA, Queue.EVSE_STATUS
RECORDS, NOTIFICATIONS = Queue.CHARGE_DETAIL_RECORD, Queue.NOTIFICATION


@pytest.fixture
def connection(database_url):
    with connect(database_url, "test") as connection:
        yield connection


@pytest.fixture
def row(database):
    """A delivery's columns by key: ``row("E1")["state"]``."""

    def look(key):
        columns = ("state", "payload", "delivered", "attempts", "uncertain", "reason")
        found = database.execute(
            f"SELECT {', '.join(columns)} FROM deliveries WHERE key = %s", [key]
        ).fetchone()
        return dict(zip(columns, found, strict=True))

    return look


def due(connection, queue):
    return deliveries.due(connection, queue, 100)


def test_once_means_once(connection, row):
    planned.once(connection, [Planned(RECORDS, NAME, NAME, {"a": 1})])
    planned.once(connection, [Planned(RECORDS, NAME, NAME, {"a": 2})])
    assert row(NAME)["payload"] == {"a": 1}


def test_what_must_not_be_sent_is_parked_with_its_reason(connection, row):
    planned.once(connection, [Planned(RECORDS, NAME, NAME, None, parked="backwards")])
    assert (row(NAME)["state"], row(NAME)["reason"]) == ("parked", "backwards")
    assert due(connection, RECORDS) == []


def test_a_record_of_the_future_is_not_due(connection):
    later = datetime.now(UTC) + timedelta(hours=1)
    planned.once(connection, [Planned(NOTIFICATIONS, NAME, NAME, {}, due_at=later)])
    assert due(connection, NOTIFICATIONS) == []


def test_of_a_state_only_the_newest_is_sent_and_no_change_sends_nothing(connection, row):
    planned.state(connection, EVSES, {"E1": {"a": 1}})
    planned.state(connection, EVSES, {"E1": {"a": 2}})
    (delivery,) = due(connection, EVSES)
    assert delivery.payload == {"a": 2}
    deliveries.settle(connection, EVSES, [delivery], "process")
    planned.state(connection, EVSES, {"E1": {"a": 2}})
    assert due(connection, EVSES) == []
    # Changed and changed back before it was sent: the hub has it.
    planned.state(connection, EVSES, {"E1": {"a": 3}})
    planned.state(connection, EVSES, {"E1": {"a": 2}})
    assert row("E1")["state"] == "delivered"


def test_what_changes_on_its_way_goes_on_waiting(connection, row):
    planned.state(connection, EVSES, {"E1": {"a": 1}})
    (delivery,) = due(connection, EVSES)
    planned.state(connection, EVSES, {"E1": {"a": 2}})
    deliveries.settle(connection, EVSES, [delivery], None)
    assert row("E1")["state"] == "waiting"
    assert row("E1")["delivered"] == {"a": 1}
    deliveries.give_up(connection, EVSES, [delivery], DeliveryState.PARKED, "no", None)
    assert row("E1")["state"] == "waiting"


def test_a_removal_of_what_the_hub_never_had_needs_no_call(connection, row):
    planned.state(connection, EVSES, {"E1": {"a": 1}, "E2": {"a": 1}})
    (first, _) = due(connection, EVSES)
    deliveries.settle(connection, EVSES, [first], None)
    planned.removal(connection, EVSES, ["E1", "E2"])
    assert row("E1")["state"] == "waiting"
    assert row("E2")["state"] == "delivered"


def test_status_waits_for_data_and_data_goes_last(connection):
    planned.state(connection, STATUSES, {"E1": {"s": 1}})
    assert due(connection, STATUSES) == []
    planned.state(connection, EVSES, {"E1": {"a": 1}})
    deliveries.settle(connection, EVSES, due(connection, EVSES), None)
    (status,) = due(connection, STATUSES)
    deliveries.settle(connection, STATUSES, [status], None)
    planned.removal(connection, STATUSES, ["E1"])
    planned.removal(connection, EVSES, ["E1"])
    assert due(connection, EVSES) == []
    deliveries.settle(connection, STATUSES, due(connection, STATUSES), None)
    assert [d.payload for d in due(connection, EVSES)] == [None]


def test_prices_wait_for_their_products_and_their_evse(connection):
    prices, products = Queue.EVSE_PRICING, Queue.PRICING_PRODUCTS
    planned.state(connection, prices, {"E1/*": {"EvseIDProductList": ["AC"]}})
    for queue, key in ((EVSES, "E1"), (products, "*/AC")):
        assert due(connection, prices) == []
        planned.state(connection, queue, {key: {"a": 1}})
        deliveries.settle(connection, queue, due(connection, queue), None)
    assert len(due(connection, prices)) == 1


def test_a_record_lets_its_notifications_go_first_but_not_for_long(connection, database):
    planned.once(
        connection,
        [
            Planned(NOTIFICATIONS, f"{NAME}/end", NAME, {"a": 1}),
            Planned(RECORDS, NAME, NAME, {"a": 1}),
        ],
    )
    assert due(connection, RECORDS) == []
    database.execute("UPDATE deliveries SET queued_at = now() - interval '7 seconds'")
    assert len(due(connection, RECORDS)) == 1


def test_after_the_hub_was_away_the_order_counts(connection, database):
    planned.once(
        connection,
        [
            Planned(NOTIFICATIONS, "other/end", "other", {"a": 1}),
            Planned(NOTIFICATIONS, f"{NAME}/end", NAME, {"a": 1}),
            Planned(RECORDS, NAME, NAME, {"a": 1}),
        ],
    )
    database.execute("UPDATE deliveries SET queued_at = now() - interval '7 seconds'")
    for queue in (NOTIFICATIONS, RECORDS):
        deliveries.open_queue(connection, queue, "worker")
    assert len(due(connection, RECORDS)) == 1
    # Another session's was tried in vain: this one's End and record have waited behind it.
    other = due(connection, NOTIFICATIONS)[:1]
    deliveries.put_off(connection, NOTIFICATIONS, other, "away", None, uncertain=False, away=True)
    assert due(connection, RECORDS) == []
    deliveries.settle(connection, NOTIFICATIONS, due(connection, NOTIFICATIONS), None)
    assert len(due(connection, RECORDS)) == 1
    # Not for ever: a session's record is worth more than the order.
    database.execute("UPDATE deliveries SET state = 'waiting' WHERE queue = 'notification'")
    assert due(connection, RECORDS) == []
    database.execute("UPDATE hub_queues SET put_off_at = now() - interval '121 seconds'")
    assert len(due(connection, RECORDS)) == 1


def test_what_was_on_its_way_when_a_worker_died_may_have_arrived(connection, row):
    planned.once(connection, [Planned(RECORDS, NAME, NAME, {"a": 1})])
    deliveries.open_queue(connection, RECORDS, "first")
    (delivery,) = due(connection, RECORDS)
    deliveries.beat(connection, RECORDS, [delivery.delivery_id])
    state = deliveries.open_queue(connection, RECORDS, "second")
    assert state.in_flight == [delivery.delivery_id]
    assert row(NAME)["uncertain"]
    assert deliveries.open_queue(connection, RECORDS, "third").in_flight == []


def test_what_is_put_off_is_counted_and_may_step_aside(connection, row):
    planned.once(connection, [Planned(RECORDS, NAME, NAME, {"a": 1})])
    (delivery,) = due(connection, RECORDS)
    deliveries.put_off(connection, RECORDS, [delivery], "HTTP 500", "p", uncertain=True)
    assert row(NAME) | {"payload": None} == {
        "state": "waiting",
        "payload": None,
        "delivered": None,
        "attempts": 1,
        "uncertain": True,
        "reason": "HTTP 500",
    }
    deliveries.put_off(
        connection,
        RECORDS,
        due(connection, RECORDS),
        "again",
        None,
        uncertain=False,
        aside_seconds=600,
    )
    assert due(connection, RECORDS) == []
    assert row(NAME)["uncertain"]


def test_a_full_load_sends_everything_anew(connection, row):
    assert not deliveries.begin_full_load(connection, EVSES)
    planned.state(connection, EVSES, {"E1": {"a": 1}, "E2": {"a": 1}})
    deliveries.open_queue(connection, EVSES, "worker")
    deliveries.settle(connection, EVSES, due(connection, EVSES), None)
    planned.removal(connection, EVSES, ["E2"])
    assert deliveries.begin_full_load(connection, EVSES)
    assert [d.key for d in due(connection, EVSES)] == ["E1"]
    assert deliveries.queue_state(connection, EVSES).full_load_next
    deliveries.full_load_done(connection, EVSES)
    assert not deliveries.queue_state(connection, EVSES).full_load_next


def test_a_refusal_that_shows_what_the_hub_has_corrects_us(connection, row):
    planned.state(connection, EVSES, {"E1": {"a": 1}})
    (delivery,) = due(connection, EVSES)
    deliveries.correct(connection, EVSES, delivery, delivery.payload)
    assert (row("E1")["state"], row("E1")["delivered"]) == ("waiting", {"a": 1})
    planned.removal(connection, EVSES, ["E1"])
    deliveries.correct(connection, EVSES, due(connection, EVSES)[0], None)
    assert row("E1")["state"] == "delivered"


def test_the_age_of_what_could_go_leaves_out_what_must_wait(connection, database):
    assert deliveries.figures(connection) == (0.0, 0)
    old = datetime.now(UTC) - timedelta(minutes=5)
    # A status without data cannot go, whatever we do.
    insert(database, "deliveries", queue="evse-status", key="E1", payload={}, queued_at=old)
    insert(database, "deliveries", queue="notification", key="a", state="parked")
    assert deliveries.figures(connection) == (0.0, 1)
    insert(database, "deliveries", queue="notification", key="b", payload={}, queued_at=old)
    assert deliveries.figures(connection)[0] > 290


def delivery(key="E1", payload=None, delivered=None):
    return Delivery(1, key, None, payload, delivered, 0, False, 0.0)


NEW, CHANGED, GONE = delivery(payload={}), delivery(payload={}, delivered={}), delivery()


@pytest.mark.parametrize(
    ("batch", "full_load", "action", "together"),
    [
        ([NEW, CHANGED, GONE, NEW], False, Action.INSERT, 2),
        ([CHANGED, NEW, CHANGED], False, Action.UPDATE, 2),
        ([GONE, NEW], False, Action.DELETE, 1),
        ([NEW, CHANGED, GONE], True, Action.FULL_LOAD, 2),
    ],
)
def test_a_push_has_one_action(batch, full_load, action, together):
    found, members = group(EVSES, batch, full_load=full_load)
    assert (found, len(members)) == (action, together)


def test_a_push_of_prices_has_one_provider():
    batch = [delivery("*/AC", {}), delivery("DE-EMP/AC", {}), delivery("*/DC", {})]
    _, members = group(Queue.PRICING_PRODUCTS, batch, full_load=False)
    assert [d.key for d in members] == ["*/AC", "*/DC"]
    _, members = group(Queue.EVSE_PRICING, batch, full_load=False)
    assert len(members) == 3
