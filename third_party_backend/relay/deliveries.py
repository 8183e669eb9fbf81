"""Deliveries as the senders work on them: what is due, and what came of it.

Written for one connection a thread; every function raises psycopg.Error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from psycopg.types.json import Jsonb

from charging.database.connection import Connection
from charging.delivery import DeliveryState, Queue
from third_party_backend.oicp.catalogue import PRODUCTS_OF_EVSE
from third_party_backend.relay.database import Json, dump, wake

CATALOGUE = frozenset(
    {Queue.EVSE_DATA, Queue.EVSE_STATUS, Queue.PRICING_PRODUCTS, Queue.EVSE_PRICING}
)
"""Queues whose rows stay and hold the newest state."""
FULLY_LOADED = frozenset({Queue.EVSE_DATA, Queue.EVSE_STATUS})
"""Queues whose whole is pushed from time to time."""
NOTIFICATIONS_FIRST_SECONDS = 6
"""How long a charge detail record lets its session's notifications go first."""
CATCH_UP_SECONDS = 120
"""… and for how long after the hub was away it does so however long that takes: all have waited
too long by then."""

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
# Of either queue, since the one may notice before the other has anything to send.
_CATCHING_UP = f"""
EXISTS (SELECT 1 FROM hub_queues
        WHERE queue IN ('notification', 'charge-detail-record')
          AND put_off_at > now() - make_interval(secs => {CATCH_UP_SECONDS}))
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
        ((d.queued_at < now() - make_interval(secs => {NOTIFICATIONS_FIRST_SECONDS})
          AND NOT {_CATCHING_UP})
         OR {_NOTIFIED})
    """,
    Queue.PRICING_PRODUCTS: "true",
    Queue.EVSE_PRICING: f"""
        {_HAS_DATA} AND NOT EXISTS (
            SELECT 1 FROM jsonb_array_elements_text(
                coalesce(d.payload -> '{PRODUCTS_OF_EVSE}', '[]')) AS product
            WHERE NOT EXISTS (
                SELECT 1 FROM deliveries AS m
                WHERE m.queue = 'pricing-products' AND m.delivered IS NOT NULL
                  AND m.key = split_part(d.key, '/', 2) || '/' || product))
    """,
}


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
        state = queue_state(connection, queue)
        connection.execute(
            "UPDATE hub_queues SET in_flight = '{}', worker = %s, beaten_at = now()"
            " WHERE queue = %s",
            [worker, queue.value],
        )
    return state


def queue_state(connection: Connection, queue: Queue) -> QueueState:
    """Return a queue's own row."""
    row = connection.execute(
        "SELECT in_flight, full_load_next, full_load_wanted,"
        " extract(epoch FROM now() - full_load_at)::float FROM hub_queues WHERE queue = %s",
        [queue.value],
    ).fetchone()
    return QueueState(*row) if row is not None else QueueState()


def beat(connection: Connection, queue: Queue, in_flight: Sequence[int] = ()) -> None:
    """Note that the queue's worker lives, and which deliveries it is about to send."""
    connection.execute(
        "UPDATE hub_queues SET in_flight = %s, beaten_at = now() WHERE queue = %s",
        [list(in_flight), queue.value],
    )


def begin_full_load(connection: Connection, queue: Queue) -> bool:
    """Queue everything anew, the first push replacing all; return whether there is anything."""
    with connection.transaction():
        found = connection.execute(
            "UPDATE deliveries SET state = 'waiting', delivered = NULL, next_attempt_at = now(),"
            " attempts = 0, reason = '', queued_at = now()"
            " WHERE queue = %s AND payload IS NOT NULL",
            [queue.value],
        )
        if found.rowcount == 0:
            # An empty full load would remove all our EVSEs at the hub.
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


def due(connection: Connection, queue: Queue, limit: int) -> list[Delivery]:
    """Return what may go now, oldest first."""
    order = "d.queued_at, d.delivery_id" if queue in CATALOGUE else "d.delivery_id"
    rows = connection.execute(
        f"""
        SELECT d.delivery_id, d.key, d.hub_session_id, d.payload, d.delivered, d.attempts,
               d.uncertain, extract(epoch FROM now() - d.queued_at)::float
        FROM deliveries AS d
        WHERE d.queue = %s AND d.state = 'waiting' AND d.next_attempt_at <= now()
          AND {READY[queue]}
        ORDER BY {order} LIMIT %s
        """.encode(),
        [queue.value, limit],
    ).fetchall()
    return [Delivery(*row) for row in rows]


def settle(
    connection: Connection,
    queue: Queue,
    delivered: Sequence[Delivery],
    process_id: str | None,
    *,
    doubt: str = "",
) -> None:
    """Note that the hub has these. One that changed meanwhile goes on waiting.

    doubt: from what that was concluded, where the hub did not say so; an operator is shown it.
    """
    with connection.transaction():
        connection.execute(
            """
            UPDATE deliveries AS d
            SET delivered = CASE WHEN %(keep)s THEN t.payload::jsonb END,
                state = CASE WHEN d.payload IS NOT DISTINCT FROM t.payload::jsonb
                             THEN 'delivered' ELSE 'waiting' END,
                settled_at = now(), attempts = 0, uncertain = false, reason = %(doubt)s,
                doubtful = %(doubt)s <> '', process_id = %(process_id)s
            FROM unnest(%(ids)s::bigint[], %(payloads)s::text[]) AS t (delivery_id, payload)
            WHERE d.delivery_id = t.delivery_id
            """,
            {
                "keep": queue in CATALOGUE,
                "doubt": doubt,
                "process_id": process_id,
                "ids": [d.delivery_id for d in delivered],
                "payloads": [dump(d.payload) for d in delivered],
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
    away: bool = False,
    aside_seconds: float | None = None,
) -> None:
    """Note that it must be tried again.

    away: it is the hub's trouble, not this message's. aside_seconds: others go first for so long.
    """
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
                "payloads": [dump(d.payload) for d in deliveries],
            },
        )
        connection.execute(
            "UPDATE hub_queues SET in_flight = '{}',"
            " put_off_at = CASE WHEN %s THEN now() ELSE put_off_at END WHERE queue = %s",
            [away, queue.value],
        )


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
                [dump(d.payload) for d in deliveries],
            ],
        )
        wake(connection, {Queue.CHARGE_DETAIL_RECORD} if queue is Queue.NOTIFICATION else ())
        connection.execute("UPDATE hub_queues SET in_flight = '{}' WHERE queue = %s", [queue.value])


def correct(connection: Connection, queue: Queue, delivery: Delivery, known: Json | None) -> None:
    """Note what the hub really has, as its refusal of an insert, update or delete shows."""
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
