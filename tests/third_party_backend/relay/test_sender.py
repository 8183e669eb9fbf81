"""A sender against a hub that answers by script: what each answer does to the deliveries."""

from __future__ import annotations

import threading

import pytest

from charging.delivery import Queue
from tests.rows import insert
from tests.scripted_hub import OK, scripted_hub
from tests.waiting import eventually
from third_party_backend.relay import planned
from third_party_backend.relay.client import HubClient
from third_party_backend.relay.database import connect
from third_party_backend.relay.planned import Planned
from third_party_backend.relay.sender import Sender
from third_party_backend.settings import Settings
from third_party_backend.telemetry import relay_metrics

NAME = "b2688855-7f00-0002-6d8e-48d883f6abb6"


def refusal(code, http=200):
    return http, b'{"Result": false, "StatusCode": {"Code": "%s"}}' % code.encode()


@pytest.fixture
def hub():
    with scripted_hub() as hub:
        yield hub


@pytest.fixture
def connection(database_url):
    with connect(database_url, "test") as connection:
        yield connection


@pytest.fixture
def send(hub, database_url):
    """Start the sender of a queue; it is stopped at the end, and must not have died."""
    stopped, senders = threading.Event(), []
    settings = Settings(hub_url=hub.url, operator_id="DE*VNI", operator_name="VNI", hub_timeout=3)
    client = HubClient(settings)

    def run(queue):
        metrics = relay_metrics()
        sender = Sender(
            queue,
            database_url,
            client,
            metrics,
            stopped,
            max_backoff_seconds=0.1,
            pace=1000,
        )
        senders.append(sender)
        sender.start()
        return sender

    yield run
    alive = [sender.is_alive() for sender in senders]
    stopped.set()
    for sender in senders:
        sender.wake.set()
        sender.join(10)
    client.close()
    assert all(alive)


@pytest.fixture
def states(database):
    return lambda: dict(database.execute("SELECT key, state FROM deliveries").fetchall())


def plan_record(connection):
    planned.once(connection, [Planned(Queue.CHARGE_DETAIL_RECORD, NAME, NAME, {"SessionID": NAME})])


@pytest.mark.parametrize(
    ("answers", "calls", "state"),
    [
        ([], 1, "delivered"),
        ([refusal("001")], 2, "delivered"),
        ([(500, b""), (503, b""), (429, b"")], 4, "delivered"),
        ([refusal("022")], 1, "parked"),
        ([refusal("017", 401)], 1, "parked"),
        # Never sent before: there is no such session.
        ([refusal("400", 404)], 1, "parked"),
        # Sent before, without an answer: then it has arrived.
        ([(500, b""), refusal("400", 404)], 2, "delivered"),
        ([(200, b"<html>"), refusal("400")], 2, "delivered"),
        # Answers of nobody's standard; the sender goes on, and nothing is sent twice for a NUL.
        ([(400, b'{"message": 5, "validationErrors": true}')], 1, "parked"),
        ([refusal("022\\u0000\\ud800")], 1, "parked"),
        ([(200, b"[" * 100_000), (302, b""), (204, b"")], 4, "delivered"),
        ([(200, b'{"statusCode": {"code": 0}}')], 1, "delivered"),
    ],
)
def test_what_the_hub_answers_to_a_record(hub, connection, send, states, answers, calls, state):
    hub.answers.extend(answers)
    plan_record(connection)
    send(Queue.CHARGE_DETAIL_RECORD)
    eventually(lambda: states() == {NAME: state})
    assert len(hub.calls) == calls
    # That it arrived is concluded only, where the hub has named no session.
    (doubtful,) = connection.execute("SELECT doubtful FROM deliveries").fetchone()
    assert doubtful == (state == "delivered" and bool(answers) and b'"400"' in answers[-1][1])


def test_no_header_of_an_answer_spoils_the_next_call(hub, connection, send, states):
    hub.headers += [("Set-Cookie", "\xff=\x01; Expires=junk"), ("Process-ID", "\xff\xfe")]
    hub.headers.append(("Retry-After", "\xb2"))
    hub.answers.extend([(503, b""), (500, b"")])
    plan_record(connection)
    send(Queue.CHARGE_DETAIL_RECORD)
    eventually(lambda: states() == {NAME: "delivered"})
    assert len(hub.calls) == 3


def test_a_push_that_one_record_spoils_is_halved(hub, connection, send, states):
    keys = [f"E{number}" for number in range(4)]
    planned.state(
        connection, Queue.EVSE_STATUS, {key: {"EvseID": key, "EvseStatus": "x"} for key in keys}
    )
    planned.state(connection, Queue.EVSE_DATA, {key: {"EvseID": key} for key in keys})
    connection.execute(
        "UPDATE deliveries SET state = 'delivered', delivered = payload WHERE queue = 'evse-data'"
    )
    # All four; the first two; E0 (bad), E1; the last two.
    hub.answers.extend([refusal("022"), refusal("022"), refusal("022"), OK, OK])
    send(Queue.EVSE_STATUS)

    def found():
        return dict(
            connection.execute(
                "SELECT key, state FROM deliveries WHERE queue = 'evse-status'"
            ).fetchall()
        )

    eventually(lambda: found() == {"E0": "parked"} | dict.fromkeys(keys[1:], "delivered"))
    actions = [body["ActionType"] for _, body in hub.calls]
    # The first half of what replaces everything that arrives does so, the rest is added.
    assert actions == ["fullLoad", "fullLoad", "fullLoad", "fullLoad", "insert"]


def test_a_notification_of_a_closed_session_is_dropped(hub, connection, send, states, database):
    insert(
        database,
        "deliveries",
        queue="charge-detail-record",
        key=NAME,
        hub_session_id=NAME,
        state="delivered",
    )
    planned.once(connection, [Planned(Queue.NOTIFICATION, f"{NAME}/end", NAME, {"Type": "End"})])
    hub.answers.append(refusal("400"))
    send(Queue.NOTIFICATION)
    eventually(lambda: states()[f"{NAME}/end"] == "dropped")


def test_a_second_sender_waits_until_the_first_has_gone(hub, connection, send, states):
    first = send(Queue.CHARGE_DETAIL_RECORD)
    eventually(lambda: connection.execute("SELECT 1 FROM hub_queues WHERE worker <> ''").fetchone())
    send(Queue.CHARGE_DETAIL_RECORD)
    plan_record(connection)
    first.wake.set()
    eventually(lambda: states() == {NAME: "delivered"})
    assert len(hub.calls) == 1
