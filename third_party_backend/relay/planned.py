"""Deliveries as the planners write them: once, as progress, as newest state.

Every function works in the transaction of its caller and raises psycopg.Error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from charging.database.connection import Connection
from charging.delivery import OUTBOX, Queue
from third_party_backend.relay.database import Json, dump, wake


@dataclass(frozen=True, slots=True)
class Planned:
    """A delivery to be made once. payload: None for one that is parked before it was written."""

    queue: Queue
    key: str
    hub_session_id: str
    payload: Json | None
    due_at: datetime | None = None
    parked: str = ""


def once(connection: Connection, planned: Sequence[Planned]) -> None:
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
            [dump(p.payload) for p in planned],
            [p.due_at for p in planned],
            [p.parked for p in planned],
        ],
    )
    wake(connection, {p.queue for p in planned})


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
