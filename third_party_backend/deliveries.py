"""Deliveries in the database: planned by the outbox, carried by couriers.

Written for one connection a thread; psycopg.Error comes through from every function.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import psycopg
import simplejson
from psycopg.types.json import Jsonb, set_json_dumps, set_json_loads

from charging.authorization import AuthorizationKind
from charging.delivery import DELIVERIES_CHANNEL, OUTBOX, DeliveryState, Queue

Json = dict[str, Any]
Connection = psycopg.Connection[Any]

CONNECT_TIMEOUT_SECONDS = 3
CATALOGUE = frozenset(
    {Queue.EVSE_DATA, Queue.EVSE_STATUS, Queue.PRICING_PRODUCTS, Queue.EVSE_PRICING}
)
"""Queues whose rows stay and hold the newest state."""
FULLY_LOADED = frozenset({Queue.EVSE_DATA, Queue.EVSE_STATUS})
"""Queues whose whole is pushed from time to time."""
NOTIFICATIONS_FIRST_SECONDS = 6
"""How long a charge detail record lets its session's notifications go first."""
CATCH_UP_SECONDS = 120
"""… and for how long any of them do after the hub was away, since all have waited too long."""

LATE_NOTIFICATION_SECONDS = 120
"""How long notifications may follow after their session's record."""

_LOCKS = 0x564E49
_PLANNING = 0
_LOCK_NUMBERS = {
    queue.value: number for number, queue in enumerate((*Queue, *AuthorizationKind), 1)
}

# What must be there before a row may go, so that the hub can make sense of it.
_HAS_DATA = """
EXISTS (SELECT 1 FROM deliveries AS m
        WHERE m.queue = 'evse-data' AND m.key = split_part(d.key, '/', 1)
          AND m.delivered IS NOT NULL)
"""
_NOTIFIED = """
NOT EXISTS (SELECT 1 FROM deliveries AS m
            WHERE m.hub_session_id = d.hub_session_id
              AND m.queue = 'notification' AND m.state = 'waiting')
"""
READY = {
    Queue.EVSE_DATA: """
        (d.payload IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM deliveries AS m
            WHERE m.queue = 'evse-status' AND m.key = d.key
              AND m.state = 'waiting' AND m.delivered IS NOT NULL))
    """,
    Queue.EVSE_STATUS: _HAS_DATA,
    Queue.NOTIFICATION: "true",
    Queue.CHARGE_DETAIL_RECORD: f"""
        (d.queued_at < now() - make_interval(secs => {NOTIFICATIONS_FIRST_SECONDS})
         OR {_NOTIFIED})
    """,
    Queue.PRICING_PRODUCTS: "true",
    Queue.EVSE_PRICING: f"""
        {_HAS_DATA} AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements_text(
                coalesce(d.payload -> 'EvseIDProductList', '[]')) AS product
            WHERE NOT EXISTS (
                SELECT 1 FROM deliveries AS m
                WHERE m.queue = 'pricing-products' AND m.delivered IS NOT NULL
                  AND m.key = split_part(d.key, '/', 2) || '/' || product))
    """,
}


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be made once. payload: None for one that is parked before it was written."""

    queue: Queue
    key: str
    hub_session_id: str
    payload: Json | None
    due_at: datetime | None = None
    parked: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A row that is due."""

    delivery_id: int
    key: str
    hub_session_id: str | None
    payload: Json | None
    delivered: Json | None
    attempts: int
    uncertain: bool
    waited_seconds: float


@dataclass(slots=True)
class QueueState:
    """A queue's own row."""

    in_flight: list[int] = field(default_factory=list)
    full_load_next: bool = False
    full_load_wanted: bool = False
    full_load_age_seconds: float | None = None


def connect(url: str, name: str) -> Connection:
    """Open a connection in autocommit; jsonb's numbers are Decimal on it."""
    connection = psycopg.connect(
        url,
        autocommit=True,
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        application_name=f"third-party-backend {name}",
        # A connection that was cut silently must not hold its lock for hours.
        options="-c statement_timeout=30s -c timezone=UTC -c tcp_keepalives_idle=10"
        " -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    set_json_loads(partial(simplejson.loads, parse_float=Decimal), connection)
    set_json_dumps(partial(simplejson.dumps, use_decimal=True), connection)
    return connection


# Planning.


def may_plan(connection: Connection) -> bool:
    """Return whether this transaction alone turns events into deliveries."""
    row = connection.execute(
        "SELECT pg_try_advisory_xact_lock(%s, %s)", [_LOCKS, _PLANNING]
    ).fetchone()
    assert row is not None
    return bool(row[0])


def plan_once(connection: Connection, planned: Sequence[Planned]) -> None:
    """Queue deliveries that are made once; what is there already stays as it is."""
    if not planned:
        return
    connection.execute(
        """
        INSERT INTO deliveries (queue, key, hub_session_id, payload, next_attempt_at, state,
                                reason)
        SELECT queue, key, hub_session_id, payload::jsonb, coalesce(due_at, now()),
               CASE WHEN parked = '' THEN 'waiting' ELSE 'parked' END, parked
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
            AS t (queue, key, hub_session_id, payload, due_at, parked)
        ON CONFLICT (queue, key) DO NOTHING
        """,
        [
            [p.queue.value for p in planned],
            [p.key for p in planned],
            [p.hub_session_id for p in planned],
            [_dump(p.payload) for p in planned],
            [p.due_at for p in planned],
            [p.parked for p in planned],
        ],
    )
    wake(connection, {p.queue for p in planned})


def park_event(connection: Connection, event_id: int, reason: str) -> None:
    """Park an event that could not be turned into deliveries."""
    connection.execute(
        "INSERT INTO deliveries (queue, key, state, reason) VALUES (%s, %s, 'parked', %s)"
        " ON CONFLICT (queue, key) DO UPDATE SET state = 'parked', reason = excluded.reason",
        [OUTBOX, str(event_id), reason],
    )


def forget_unread(connection: Connection, days: float) -> None:
    """Delete events that nobody has read in so many days."""
    connection.execute(
        "DELETE FROM events WHERE relayed_at IS NULL AND recorded_at < now() - %s",
        [timedelta(days=days)],
    )


def plan_progress(connection: Connection, planned: Sequence[Planned]) -> None:
    """Queue notifications of progress; the newest takes the place of the one before."""
    if not planned:
        return
    connection.execute(
        """
        INSERT INTO deliveries (queue, key, hub_session_id, payload)
        SELECT queue, key, hub_session_id, payload::jsonb
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[])
            AS t (queue, key, hub_session_id, payload)
        ON CONFLICT (queue, key) DO UPDATE
        SET payload = excluded.payload, state = 'waiting', queued_at = now(),
            next_attempt_at = now(), attempts = 0, uncertain = false
        WHERE deliveries.state IN ('delivered', 'dropped')
        """,
        [
            [p.queue.value for p in planned],
            [p.key for p in planned],
            [p.hub_session_id for p in planned],
            [_dump(p.payload) for p in planned],
        ],
    )
    wake(connection, {Queue.NOTIFICATION})


def plan_state(connection: Connection, queue: Queue, wanted: dict[str, Json]) -> None:
    """Say what the hub shall have under each key; what does not change is not sent."""
    if not wanted:
        return
    connection.execute(
        """
        INSERT INTO deliveries (queue, key, payload)
        SELECT %s, key, payload::jsonb FROM unnest(%s::text[], %s::text[]) AS t (key, payload)
        ON CONFLICT (queue, key) DO UPDATE
        SET payload = excluded.payload,
            -- what was sent without an answer may be there in the place of `delivered`
            state = CASE WHEN deliveries.delivered = excluded.payload AND NOT deliveries.uncertain
                         THEN 'delivered' ELSE 'waiting' END,
            queued_at = now(), next_attempt_at = now(), attempts = 0, reason = ''
        WHERE deliveries.payload IS DISTINCT FROM excluded.payload
        """,
        [queue.value, list(wanted), [_dump(payload) for payload in wanted.values()]],
    )
    wake(connection, {queue})


def plan_removal(connection: Connection, queue: Queue, keys: Sequence[str]) -> None:
    """Say that the hub shall have nothing under some keys any more."""
    if not keys:
        return
    connection.execute(
        """
        UPDATE deliveries
        SET payload = NULL, queued_at = now(), next_attempt_at = now(), attempts = 0, reason = '',
            -- a delete names what may be there
            delivered = CASE WHEN uncertain THEN coalesce(delivered, payload) ELSE delivered END,
            state = CASE WHEN delivered IS NULL AND NOT uncertain
                         THEN 'delivered' ELSE 'waiting' END
        WHERE queue = %s AND key = ANY(%s) AND payload IS NOT NULL
        """,
        [queue.value, list(keys)],
    )
    wake(connection, {queue})


def drop_notifications(
    connection: Connection, hub_session_ids: Sequence[str], reason: str, like: str = "%"
) -> None:
    """Let waiting notifications of sessions go, because they came to be pointless."""
    connection.execute(
        "UPDATE deliveries SET state = 'dropped', reason = %s, settled_at = now()"
        " WHERE hub_session_id = ANY(%s) AND queue = 'notification' AND state = 'waiting'"
        " AND key LIKE %s",
        [reason, list(hub_session_ids), like],
    )


def drop_late_notifications(connection: Connection) -> int:
    """Let notifications go whose session was closed a while ago; return how many.

    The hub allows fewer notifications a minute than records, so that a busy hour's would wait
    for ever; what they told, the record has told.
    """
    return connection.execute(
        """
        UPDATE deliveries AS d
        SET state = 'dropped', settled_at = now(),
            reason = 'the session''s charge detail record was delivered first'
        FROM deliveries AS c
        WHERE d.queue = 'notification' AND d.state = 'waiting'
          AND c.queue = 'charge-detail-record' AND c.key = d.hub_session_id
          AND c.state = 'delivered' AND c.settled_at < now() - make_interval(secs => %s)
        """,
        [LATE_NOTIFICATION_SECONDS],
    ).rowcount


def wake(connection: Connection, queues: Iterable[Queue]) -> None:
    """Wake whoever works queues, once this transaction has committed."""
    for queue in sorted(queues):
        connection.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, queue.value])


def _dump(payload: Json | None) -> str | None:
    return None if payload is None else simplejson.dumps(payload, use_decimal=True)


# Carrying.


def lock(connection: Connection, queue: Queue | AuthorizationKind) -> bool:
    """Take a queue for this connection alone, for as long as it lives."""
    row = connection.execute(
        "SELECT pg_try_advisory_lock(%s, %s)", [_LOCKS, _LOCK_NUMBERS[queue.value]]
    ).fetchone()
    assert row is not None
    return bool(row[0])


def open_queue(connection: Connection, queue: Queue, worker: str) -> QueueState:
    """Take a queue over: what was on its way when its last worker ended may have arrived."""
    with connection.transaction():
        connection.execute(
            "INSERT INTO hub_queues (queue) VALUES (%s) ON CONFLICT DO NOTHING", [queue.value]
        )
        connection.execute(
            "UPDATE deliveries SET uncertain = true,"
            " state = CASE WHEN state = 'delivered' THEN 'waiting' ELSE state END"
            " WHERE state IN ('waiting', 'delivered') AND delivery_id = ANY("
            "  SELECT unnest(in_flight) FROM hub_queues WHERE queue = %s)",
            [queue.value],
        )
        # Inserted perhaps, and removed again before anybody knew: only a full load tells.
        lost = connection.execute(
            "UPDATE deliveries SET state = 'delivered', uncertain = false"
            " WHERE queue = %s AND state = 'waiting' AND payload IS NULL AND delivered IS NULL",
            [queue.value],
        ).rowcount
        if lost and queue in FULLY_LOADED:
            connection.execute(
                "UPDATE hub_queues SET full_load_wanted = true WHERE queue = %s", [queue.value]
            )
        state = look(connection, queue)
        connection.execute(
            "UPDATE hub_queues SET in_flight = '{}', worker = %s, beaten_at = now()"
            " WHERE queue = %s",
            [worker, queue.value],
        )
    return state


def look(connection: Connection, queue: Queue) -> QueueState:
    """Return a queue's own row."""
    row = connection.execute(
        "SELECT in_flight, full_load_next, full_load_wanted,"
        " extract(epoch FROM now() - full_load_at)::float FROM hub_queues WHERE queue = %s",
        [queue.value],
    ).fetchone()
    return QueueState(*row) if row is not None else QueueState()


def beat(connection: Connection, queue: Queue, in_flight: Sequence[int] = ()) -> None:
    """Say that the queue's worker lives, and what it is about to send."""
    connection.execute(
        "UPDATE hub_queues SET in_flight = %s, beaten_at = now() WHERE queue = %s",
        [list(in_flight), queue.value],
    )


def begin_full_load(connection: Connection, queue: Queue) -> bool:
    """Have everything pushed anew, the first push replacing all; return whether there is any."""
    with connection.transaction():
        found = connection.execute(
            "UPDATE deliveries SET state = 'waiting', delivered = NULL, next_attempt_at = now(),"
            " attempts = 0, reason = '', queued_at = now()"
            " WHERE queue = %s AND payload IS NOT NULL",
            [queue.value],
        )
        if found.rowcount == 0:
            # An empty full load would say that we have nothing; nothing is said until we have.
            return False
        connection.execute(
            "UPDATE deliveries SET state = 'delivered', delivered = NULL"
            " WHERE queue = %s AND payload IS NULL",
            [queue.value],
        )
        connection.execute(
            "UPDATE hub_queues SET full_load_next = true, full_load_wanted = false"
            " WHERE queue = %s",
            [queue.value],
        )
    return True


def was_put_off(connection: Connection, queue: Queue) -> bool:
    """Return whether something waits that the hub has not taken when it was tried."""
    row = connection.execute(
        "SELECT 1 FROM deliveries WHERE queue = %s AND state = 'waiting' AND attempts > 0 LIMIT 1",
        [queue.value],
    ).fetchone()
    return row is not None


def due(
    connection: Connection, queue: Queue, limit: int, *, catching_up: bool = False
) -> list[Delivery]:
    """Return what may go now, oldest first.

    catching_up: no charge detail record goes before its session's notifications.
    """
    ready = READY[queue]
    if catching_up and queue is Queue.CHARGE_DETAIL_RECORD:
        ready = _NOTIFIED
    order = "d.queued_at, d.delivery_id" if queue in CATALOGUE else "d.delivery_id"
    rows = connection.execute(
        f"""
        SELECT d.delivery_id, d.key, d.hub_session_id, d.payload, d.delivered, d.attempts,
               d.uncertain, extract(epoch FROM now() - d.queued_at)::float
        FROM deliveries AS d
        WHERE d.queue = %s AND d.state = 'waiting' AND d.next_attempt_at <= now()
          AND {ready}
        ORDER BY {order} LIMIT %s
        """.encode(),
        [queue.value, limit],
    ).fetchall()
    return [Delivery(*row) for row in rows]


def settle(
    connection: Connection, queue: Queue, delivered: Sequence[Delivery], process_id: str | None
) -> None:
    """Note what the hub has. What changed meanwhile goes on waiting."""
    with connection.transaction():
        connection.execute(
            """
            UPDATE deliveries AS d
            SET delivered = CASE WHEN %(keep)s THEN t.payload::jsonb END,
                state = CASE WHEN d.payload IS NOT DISTINCT FROM t.payload::jsonb
                             THEN 'delivered' ELSE 'waiting' END,
                settled_at = now(), attempts = 0, uncertain = false, reason = '',
                process_id = %(process_id)s
            FROM unnest(%(ids)s::bigint[], %(payloads)s::text[]) AS t (delivery_id, payload)
            WHERE d.delivery_id = t.delivery_id
            """,
            {
                "keep": queue in CATALOGUE,
                "process_id": process_id,
                "ids": [d.delivery_id for d in delivered],
                "payloads": [_dump(d.payload) for d in delivered],
            },
        )
        if queue in (Queue.EVSE_DATA, Queue.PRICING_PRODUCTS):
            wake(connection, CATALOGUE - {queue})
        if queue in (Queue.EVSE_STATUS, Queue.EVSE_PRICING):
            wake(connection, {Queue.EVSE_DATA})
        if queue is Queue.NOTIFICATION:
            wake(connection, {Queue.CHARGE_DETAIL_RECORD})
        connection.execute("UPDATE hub_queues SET in_flight = '{}' WHERE queue = %s", [queue.value])


def full_load_done(connection: Connection, queue: Queue) -> None:
    """Note that the push that replaces everything has arrived."""
    connection.execute(
        "UPDATE hub_queues SET full_load_at = now(), full_load_next = false WHERE queue = %s",
        [queue.value],
    )


def put_off(
    connection: Connection,
    queue: Queue,
    deliveries: Sequence[Delivery],
    reason: str,
    process_id: str | None,
    *,
    uncertain: bool,
    aside_seconds: float | None = None,
) -> None:
    """Note that it must be tried again. aside_seconds: others may go first for so long."""
    with connection.transaction():
        # What was to be inserted may have been removed meanwhile: then only what may be there
        # all the same is worth another call, a delete.
        connection.execute(
            """
            UPDATE deliveries AS d
            SET state = CASE WHEN d.payload IS NULL AND d.delivered IS NULL AND NOT %(uncertain)s
                             THEN 'delivered' ELSE 'waiting' END,
                delivered = CASE WHEN d.payload IS NULL AND %(uncertain)s
                                 THEN coalesce(d.delivered, t.payload::jsonb)
                                 ELSE d.delivered END,
                attempts = attempts + 1, uncertain = uncertain OR %(uncertain)s,
                reason = %(reason)s, process_id = coalesce(%(process_id)s, process_id),
                next_attempt_at =
                    coalesce(now() + make_interval(secs => %(aside)s), next_attempt_at)
            FROM unnest(%(ids)s::bigint[], %(payloads)s::text[]) AS t (delivery_id, payload)
            WHERE d.delivery_id = t.delivery_id
            """,
            {
                "uncertain": uncertain,
                "reason": reason,
                "process_id": process_id,
                "aside": aside_seconds,
                "ids": [d.delivery_id for d in deliveries],
                "payloads": [_dump(d.payload) for d in deliveries],
            },
        )
        connection.execute("UPDATE hub_queues SET in_flight = '{}' WHERE queue = %s", [queue.value])


def give_up(
    connection: Connection,
    queue: Queue,
    deliveries: Sequence[Delivery],
    state: DeliveryState,
    reason: str,
    process_id: str | None,
) -> None:
    """Park deliveries, or drop them; one that changed meanwhile goes on waiting."""
    with connection.transaction():
        connection.execute(
            """
            UPDATE deliveries AS d
            SET state = CASE WHEN d.payload IS NOT DISTINCT FROM t.payload::jsonb
                             THEN %s ELSE 'waiting' END,
                reason = %s, process_id = %s, settled_at = now(), attempts = d.attempts + 1
            FROM unnest(%s::bigint[], %s::text[]) AS t (delivery_id, payload)
            WHERE d.delivery_id = t.delivery_id
            """,
            [
                state.value,
                reason,
                process_id,
                [d.delivery_id for d in deliveries],
                [_dump(d.payload) for d in deliveries],
            ],
        )
        wake(connection, {Queue.CHARGE_DETAIL_RECORD} if queue is Queue.NOTIFICATION else ())
        connection.execute("UPDATE hub_queues SET in_flight = '{}' WHERE queue = %s", [queue.value])


def correct(connection: Connection, queue: Queue, delivery: Delivery, known: Json | None) -> None:
    """Note what the hub really has: it said so by refusing an insert, an update or a delete."""
    with connection.transaction():
        connection.execute(
            "UPDATE deliveries SET delivered = %s, attempts = attempts + 1, state = CASE"
            " WHEN payload IS NULL AND %s::jsonb IS NULL THEN 'delivered' ELSE 'waiting' END"
            " WHERE delivery_id = %s",
            [_jsonb(known), _jsonb(known), delivery.delivery_id],
        )
        connection.execute("UPDATE hub_queues SET in_flight = '{}' WHERE queue = %s", [queue.value])


def _jsonb(value: Json | None) -> Jsonb | None:
    return None if value is None else Jsonb(value)


# Figures.


def figures(connection: Connection) -> tuple[float, int]:
    """Return the age in seconds of the oldest thing that could go and has not, and the parked."""
    gates = " OR ".join(f"(d.queue = '{queue}' AND {gate})" for queue, gate in READY.items())
    row = connection.execute(
        f"""
        SELECT extract(epoch FROM now() - least(
                   (SELECT min(d.queued_at) FROM deliveries AS d
                    WHERE d.state = 'waiting'
                      AND (d.attempts > 0 OR d.next_attempt_at <= now()) AND ({gates})),
                   (SELECT min(recorded_at) FROM events WHERE relayed_at IS NULL)))::float,
               (SELECT count(*) FROM deliveries WHERE state = 'parked')
        """.encode()
    ).fetchone()
    assert row is not None
    return max(0.0, row[0] or 0.0), row[1]
