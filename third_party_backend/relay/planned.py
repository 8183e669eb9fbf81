"""Deliveries as the planners write them: once, as progress, as newest state.

Every function works in the transaction of its caller and raises psycopg.Error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging.database.connection import Connection
from charging.delivery import OUTBOX, Queue
from third_party_backend.relay.database import Json, dump, wake


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be made once. payload: None for one that is parked before it was written.

    bills: it is a session's energy. It takes the place of what is there under its key so long as
    nothing of that can have been sent; afterwards it is parked beside it.
    """

    queue: Queue
    key: str
    hub_session_id: str | None
    payload: Json | None
    due_at: datetime | None = None
    parked: str = ""
    bills: bool = False


_AGAIN = (
    "a second, different record of the session: the hub takes one, and has the first; settle the"
    " difference with the provider, then drop this"
)


def once(connection: Connection, planned: Sequence[Planned]) -> None:
    """Queue deliveries that are made once; what is there already stays as it is.

    A record with energy is never dropped for one that is there: see Planned.
    """
    if not planned:
        return
    bills = [p for p in planned if p.bills]
    if bills:
        _replace(connection, bills)
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
        _columns(planned),
    )
    if bills:
        _park_differing(connection, bills)
    wake(connection, {p.queue for p in planned})


def _replace(connection: Connection, bills: Sequence[Planned]) -> None:
    """Write records in the place of those that cannot have been sent."""
    connection.execute(
        """
        UPDATE deliveries AS d
        SET payload = t.payload::jsonb, next_attempt_at = coalesce(t.due_at, now()),
            state = CASE WHEN t.parked = '' THEN 'waiting' ELSE 'parked' END, reason = t.parked
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
            AS t (queue, key, hub_session_id, payload, due_at, parked)
        WHERE d.queue = t.queue AND d.key = t.key AND NOT d.uncertain
          AND (d.state = 'parked' OR (d.state = 'waiting' AND d.attempts = 0))
          AND NOT EXISTS (SELECT 1 FROM hub_queues AS q WHERE d.delivery_id = ANY(q.in_flight))
          AND d.payload IS DISTINCT FROM t.payload::jsonb
        """,
        _columns(bills),
    )


def _park_differing(connection: Connection, bills: Sequence[Planned]) -> None:
    """Park records whose place is taken by one that says something else."""
    connection.execute(
        """
        INSERT INTO deliveries (queue, key, hub_session_id, payload, state, reason)
        SELECT t.queue, t.key || '/again/' || md5(t.payload), t.hub_session_id, t.payload::jsonb,
               'parked', %s
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[])
            AS t (queue, key, hub_session_id, payload, due_at, parked)
        JOIN deliveries AS d ON d.queue = t.queue AND d.key = t.key
        WHERE t.payload IS NOT NULL AND d.payload IS DISTINCT FROM t.payload::jsonb
        ON CONFLICT (queue, key) DO NOTHING
        """,
        [_AGAIN, *_columns(bills)],
    )


def _columns(planned: Sequence[Planned]) -> list[list[Any]]:
    return [
        [p.queue.value for p in planned],
        [p.key for p in planned],
        [p.hub_session_id for p in planned],
        [dump(p.payload) for p in planned],
        [p.due_at for p in planned],
        [p.parked for p in planned],
    ]


def event_parked(connection: Connection, event_id: int, reason: str) -> None:
    """Park an event that could not be turned into deliveries."""
    connection.execute(
        "INSERT INTO deliveries (queue, key, state, reason) VALUES (%s, %s, 'parked', %s)"
        " ON CONFLICT (queue, key) DO UPDATE SET state = 'parked', reason = excluded.reason",
        [OUTBOX, str(event_id), reason],
    )


def progress(connection: Connection, planned: Sequence[Planned]) -> None:
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
            [dump(p.payload) for p in planned],
        ],
    )
    wake(connection, {Queue.NOTIFICATION})


def state(connection: Connection, queue: Queue, wanted: dict[str, Json]) -> None:
    """Set what the hub shall have under each key; what does not change is not sent."""
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
        [queue.value, list(wanted), [dump(payload) for payload in wanted.values()]],
    )
    wake(connection, {queue})


def removal(connection: Connection, queue: Queue, keys: Sequence[str]) -> None:
    """Set that the hub shall have nothing under some keys any more."""
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
    """Drop waiting notifications of sessions that have become pointless.

    like: an SQL pattern of their keys.
    """
    connection.execute(
        "UPDATE deliveries SET state = 'dropped', reason = %s, settled_at = now()"
        " WHERE hub_session_id = ANY(%s) AND queue = 'notification' AND state = 'waiting'"
        " AND key LIKE %s",
        [reason, list(hub_session_ids), like],
    )
