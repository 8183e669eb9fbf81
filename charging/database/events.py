"""Writing events: a row in the transaction of the change it records, and a NOTIFY for the relay.

No other module writes to `events`. Two forms, each one round trip:

- `write` (and `write_async`): events that the program has in hand.
- A statement that finds out itself what happened: it names those rows `happened` in its WITH
  list and ends with ``, {WRITTEN} {WAKE}``:

      WITH ended AS (UPDATE … RETURNING …),
      happened AS (
          SELECT 'reservation_ended' AS kind, charging_point_id,
                 jsonb_build_object('reservation_id', reservation_id) AS payload,
                 now() AS occurred_at
          FROM ended
      ), {WRITTEN} {WAKE}

Where the statement has something else to return, WRITTEN stands alone in it and `wake` follows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from charging.database.connection import AsyncCursor, Connection
from charging.event import EVENTS_CHANNEL, EventKind

NOTIFY = f"pg_notify('{EVENTS_CHANNEL}', '')"
"""Wakes the relay after the commit. Several in one transaction are one notification."""

WRITTEN = """
written AS (
    INSERT INTO events (kind, charging_point_id, payload, occurred_at)
    SELECT kind, charging_point_id, payload, occurred_at FROM happened
    RETURNING event_id
)
"""
"""An item of a WITH list: an event for each row of the item `happened` before it.

Columns of `happened`: kind text, charging_point_id text ('' where an event is of none), payload
jsonb, occurred_at timestamptz. Events are numbered in the order of its rows.
"""

WAKE = f"SELECT {NOTIFY} FROM written LIMIT 1"
"""Wakes the relay if WRITTEN wrote anything; ends the statement."""

_WRITE = f"""
WITH happened AS (
    SELECT kind, charging_point_id, payload::jsonb AS payload,
           coalesce(occurred_at, now()) AS occurred_at
    FROM unnest(%(kinds)s::text[], %(charging_points)s::text[], %(payloads)s::text[],
                %(times)s::timestamptz[])
        WITH ORDINALITY AS t (kind, charging_point_id, payload, occurred_at, place)
    ORDER BY place
), {WRITTEN} {WAKE}
""".encode()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. occurred_at: aware UTC, None for now.

    charging_point_id: empty where it concerns no single one. payload: as EventKind describes it.
    """

    kind: EventKind
    charging_point_id: str = ""
    payload: dict[str, Any] = field(default_factory=dict)
    occurred_at: datetime | None = None


def write(connection: Connection, events: Sequence[Event]) -> None:
    """Write events, in this order, in the connection's transaction."""
    if events:
        connection.execute(_WRITE, _columns(events))


async def write_async(cursor: AsyncCursor, events: Sequence[Event]) -> None:
    """Write events, in this order, in the cursor's transaction."""
    if events:
        await cursor.execute(_WRITE, _columns(events))


def wake(connection: Connection) -> None:
    """Wake the relay once the transaction has committed."""
    connection.execute(f"SELECT {NOTIFY}".encode())


def _columns(events: Sequence[Event]) -> dict[str, list[Any]]:
    return {
        "kinds": [event.kind.value for event in events],
        "charging_points": [event.charging_point_id for event in events],
        "payloads": [json.dumps(event.payload) for event in events],
        "times": [event.occurred_at for event in events],
    }
