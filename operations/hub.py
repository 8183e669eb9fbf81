"""Deliveries to the roaming hub: what it has, what waits, and what it refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from charging.database import audit, events
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.events import WAKE, WRITTEN
from charging.delivery import DELIVERIES_CHANNEL, OUTBOX, Queue
from charging.event import EventKind
from operations.errors import ConflictError, InvalidError
from operations.sessions import check_limit

QUEUES = (*(queue.value for queue in Queue), OUTBOX)
FULL_LOADS = (Queue.EVSE_DATA.value, Queue.EVSE_STATUS.value)


@dataclass(frozen=True, slots=True)
class HubQueue:
    """A queue to the hub. oldest_seconds: how long its oldest delivery has waited.

    doubtful: how many count as delivered by an answer that may mean something else. worker: the
    process that delivers it; seen_at: its last sign of life.
    """

    queue: str
    waiting: int
    oldest_seconds: int | None
    parked: int
    doubtful: int
    delivered_last_hour: int
    full_load_at: datetime | None
    worker: str | None
    seen_at: datetime | None


@dataclass(frozen=True, slots=True)
class Parked:
    """A delivery that the hub refused, or that could not be written. reason: why.

    hub_process: the hub's own name for the call, for its support.
    """

    delivery: int
    queue: str
    key: str
    reason: str
    attempts: int
    parked_at: datetime | None
    hub_process: str | None
    payload: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A delivery that counts as arrived by an answer that may mean something else. reason: which.

    hub_process: the hub's own name for the call, for its support.
    """

    delivery: int
    queue: str
    key: str
    reason: str
    concluded_at: datetime | None
    hub_process: str | None


@dataclass(frozen=True, slots=True)
class HubSession:
    """A session as the hub knows it, with ours and with its charge detail record."""

    hub_session: str
    provider: str
    origin: str
    state: str
    charging_point: str
    evse: int | None
    session: int | None
    energy_wh: int | None
    record: str | None
    doubtful: bool | None
    record_at: datetime | None
    reason: str | None
    created_at: datetime


def list_queues(connection: Connection) -> list[HubQueue]:
    """Return each queue: what waits, since when, what was delivered and parked, who works on it."""
    with connection.cursor(row_factory=class_row(HubQueue)) as cursor:
        return cursor.execute(
            """
            SELECT names.queue,
                   CASE WHEN names.queue = %(outbox)s
                        THEN (SELECT count(*) FROM events WHERE relayed_at IS NULL)
                        ELSE count(*) FILTER (WHERE d.state = 'waiting') END AS waiting,
                   round(extract(epoch FROM now() - min(d.queued_at)
                         FILTER (WHERE d.state = 'waiting')))::int AS oldest_seconds,
                   count(*) FILTER (WHERE d.state = 'parked') AS parked,
                   count(*) FILTER (WHERE d.doubtful) AS doubtful,
                   count(*) FILTER (WHERE d.state = 'delivered'
                                      AND d.settled_at > now() - interval '1 hour')
                       AS delivered_last_hour,
                   min(q.full_load_at) AS full_load_at, min(q.worker) AS worker,
                   min(q.beaten_at) AS seen_at
            FROM unnest(%(queues)s::text[]) WITH ORDINALITY AS names (queue, place)
            LEFT JOIN deliveries AS d USING (queue)
            LEFT JOIN hub_queues AS q USING (queue)
            GROUP BY names.queue, names.place ORDER BY names.place
            """,
            {"outbox": OUTBOX, "queues": list(QUEUES)},
        ).fetchall()


def offered_without_master_data(connection: Connection) -> int:
    """Return how many EVSEs are offered for roaming and unknown to the hub for want of data."""
    row = connection.execute(
        "SELECT count(*) FROM evses LEFT JOIN evse_details USING (charging_point_id, evse_number)"
        " WHERE roaming AND evse_id IS NOT NULL AND details IS NULL"
    ).fetchone()
    assert row is not None
    count: int = row[0]
    return count


def list_parked(connection: Connection, queue: str | None = None) -> list[Parked]:
    """Return what is parked, oldest first; of one queue, or of all."""
    with connection.cursor(row_factory=class_row(Parked)) as cursor:
        return cursor.execute(
            "SELECT delivery_id AS delivery, queue, key, reason, attempts, settled_at AS parked_at,"
            " process_id AS hub_process, payload"
            " FROM deliveries WHERE state = 'parked' AND (%(queue)s::text IS NULL"
            " OR queue = %(queue)s) ORDER BY delivery_id",
            {"queue": queue},
        ).fetchall()


def list_doubtful(connection: Connection) -> list[Doubtful]:
    """Return what counts as delivered although the hub did not say so, oldest first."""
    with connection.cursor(row_factory=class_row(Doubtful)) as cursor:
        return cursor.execute(
            "SELECT delivery_id AS delivery, queue, key, reason, settled_at AS concluded_at,"
            " process_id AS hub_process FROM deliveries WHERE doubtful ORDER BY delivery_id"
        ).fetchall()


def confirm(connection: Connection, delivery: int, reason: str, *, by: Asker) -> None:
    """Note that a doubtful delivery has been looked into. Raises ConflictError."""
    with connection.transaction():
        confirmed = connection.execute(
            "UPDATE deliveries SET doubtful = false,"
            " reason = left(%s || ' (was: ' || reason || ')', 1000)"
            " WHERE delivery_id = %s AND doubtful",
            [reason, delivery],
        )
        if confirmed.rowcount == 0:
            raise ConflictError(f"{delivery} is not doubtful; `hub doubtful` lists what is")
        audit.write(connection, by, "confirm", "hub", {"delivery": delivery, "reason": reason})


def requeue(
    connection: Connection,
    deliveries: Sequence[int] = (),
    *,
    by: Asker,
    queue: str | None = None,
    everything: bool = False,
    found_right: bool = False,
) -> list[int]:
    """Queue parked deliveries again: by number, of one queue, or everything; return their numbers.

    A record is written anew from its session, an event read again. What can never be sent stays
    parked, to be dropped once it is settled. found_right: somebody has looked into the deliveries
    that are named, and their sessions are to be billed although they are not plausible. Raises
    InvalidError, ConflictError.
    """
    if found_right and not deliveries:
        raise InvalidError("name the deliveries that were found right")
    if not (deliveries or queue or everything):
        raise InvalidError("name them: numbers of deliveries, --queue NAME or --all")
    with connection.transaction():
        chosen = connection.execute(
            """
            SELECT delivery_id, queue, key, payload IS NULL AS unwritten, hub_session_id, uncertain
            FROM deliveries
            WHERE state = 'parked'
              AND NOT (queue = %(records)s AND key IS DISTINCT FROM hub_session_id)
              AND (%(all)s OR queue = %(queue)s OR delivery_id = ANY(%(ids)s))
            ORDER BY delivery_id FOR UPDATE
            """,
            {
                "all": everything,
                "queue": queue,
                "ids": list(deliveries),
                "records": Queue.CHARGE_DETAIL_RECORD.value,
            },
        ).fetchall()
        missing = sorted(set(deliveries) - {row[0] for row in chosen})
        if missing:
            raise ConflictError(
                f"not parked, or never to be sent: {', '.join(map(str, missing))};"
                " `hub parked` lists what is, and why"
            )
        if found_right:
            connection.execute(
                "UPDATE hub_sessions SET found_right = true WHERE hub_session_id = ANY(%s)",
                [[row[4] for row in chosen if row[4] is not None]],
            )
        for row in chosen:
            _requeue(connection, *row)
        detail = {"deliveries": [row[0] for row in chosen], "found_right": found_right}
        audit.write(connection, by, "requeue", "hub", detail)
        events.wake(connection)
        _wake(connection, {row[1] for row in chosen})
    return [row[0] for row in chosen]


def drop(connection: Connection, delivery: int, reason: str, *, by: Asker) -> None:
    """Give up a parked delivery; it stays in the books with the reason. Raises ConflictError."""
    with connection.transaction():
        dropped = connection.execute(
            "UPDATE deliveries SET state = 'dropped', settled_at = now(),"
            " reason = left(%s || ' (was: ' || reason || ')', 1000)"
            " WHERE delivery_id = %s AND state = 'parked'",
            [reason, delivery],
        )
        if dropped.rowcount == 0:
            raise ConflictError(f"{delivery} is not parked; `hub parked` lists what is")
        audit.write(connection, by, "drop", "hub", {"delivery": delivery, "reason": reason})


def request_full_load(connection: Connection, queue: str, *, by: Asker) -> None:
    """Have all of a queue pushed again, which replaces what the hub has. Raises InvalidError."""
    if queue not in FULL_LOADS:
        raise InvalidError(f"{queue!r} has no full load; {' and '.join(FULL_LOADS)} have")
    with connection.transaction():
        connection.execute(
            "INSERT INTO hub_queues (queue, full_load_wanted) VALUES (%s, true)"
            " ON CONFLICT (queue) DO UPDATE SET full_load_wanted = true",
            [queue],
        )
        audit.write(connection, by, "full_load", "hub", {"queue": queue})
        _wake(connection, {queue})


def list_sessions(
    connection: Connection, *, session: int | None = None, limit: int = 100
) -> list[HubSession]:
    """Return the hub's sessions, newest first; session: only of one of ours.

    Raises InvalidError.
    """
    check_limit(limit)
    with connection.cursor(row_factory=class_row(HubSession)) as cursor:
        return cursor.execute(
            """
            SELECT h.hub_session_id AS hub_session, h.provider_id AS provider, h.origin, h.state,
                   h.charging_point_id AS charging_point, h.evse_number AS evse,
                   h.session_id AS session, s.energy_wh, d.state AS record,
                   d.doubtful, d.settled_at AS record_at, d.reason, h.created_at
            FROM hub_sessions AS h
            LEFT JOIN sessions AS s USING (session_id)
            LEFT JOIN deliveries AS d ON d.queue = %(queue)s AND d.key = h.hub_session_id
            WHERE %(session)s::bigint IS NULL OR h.session_id = %(session)s
            ORDER BY h.created_at DESC LIMIT %(limit)s
            """,
            {"queue": Queue.CHARGE_DETAIL_RECORD.value, "session": session, "limit": limit},
        ).fetchall()


def _requeue(
    connection: Connection,
    delivery_id: int,
    queue: str,
    key: str,
    unwritten: bool,
    hub_session_id: str | None,
    uncertain: bool,
) -> None:
    record = queue == Queue.CHARGE_DETAIL_RECORD and not uncertain
    if queue == OUTBOX:
        connection.execute("DELETE FROM deliveries WHERE delivery_id = %s", [delivery_id])
        connection.execute("UPDATE events SET relayed_at = NULL WHERE event_id = %s", [int(key)])
    elif (unwritten or record) and hub_session_id is not None:
        connection.execute("DELETE FROM deliveries WHERE delivery_id = %s", [delivery_id])
        if record:
            # They were refused for what the record was: they are written anew as well.
            connection.execute(
                "DELETE FROM deliveries WHERE hub_session_id = %s AND queue = %s"
                " AND state = 'parked' AND NOT uncertain",
                [hub_session_id, Queue.NOTIFICATION.value],
            )
        _repeat_event(connection, queue, hub_session_id)
    else:
        connection.execute(
            "UPDATE deliveries SET state = 'waiting', attempts = 0, next_attempt_at = now(),"
            " queued_at = now() WHERE delivery_id = %s",
            [delivery_id],
        )


def _repeat_event(connection: Connection, queue: str, hub_session_id: str) -> None:
    """Write the event again from which the relay writes the message."""
    ended = queue == Queue.CHARGE_DETAIL_RECORD
    connection.execute(
        f"""
        WITH happened AS (
            SELECT %(moment)s AS kind, charging_point_id,
                   jsonb_build_object('session_id', session_id) AS payload, now() AS occurred_at
            FROM hub_sessions WHERE hub_session_id = %(name)s AND session_id IS NOT NULL
            UNION ALL
            SELECT %(closed)s, charging_point_id,
                   jsonb_build_object('hub_session_id', hub_session_id, 'why', 'stopped'), now()
            FROM hub_sessions WHERE hub_session_id = %(name)s AND session_id IS NULL
            UNION ALL
            SELECT %(reservation)s, charging_point_id,
                   jsonb_build_object('reservation_id', reservation_id), now()
            FROM reservations WHERE hub_session_id = %(name)s
              AND state IN ('used', 'cancelled', 'expired')
        ), {WRITTEN} {WAKE}
        """.encode(),
        {
            "moment": (EventKind.SESSION_ENDED if ended else EventKind.SESSION_STARTED).value,
            "closed": EventKind.HUB_SESSION_CLOSED.value,
            "reservation": EventKind.RESERVATION_ENDED.value,
            "name": hub_session_id,
        },
    )


def _wake(connection: Connection, queues: set[str]) -> None:
    for queue in sorted(queues):
        connection.execute("SELECT pg_notify(%s, %s)", [DELIVERIES_CHANNEL, queue])
