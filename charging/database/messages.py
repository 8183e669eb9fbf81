"""The message log in the database: written in bulk, read by charging point and time.

No other module writes to `messages`. A partition holds a day (UTC).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from charging.database.connection import AsyncConnection, Connection

PARTITIONS_AHEAD_DAYS = 3
KEEP_DAYS = 14

_COLUMNS = (
    "at, charging_point_id, direction, kind, action, message_id, outcome, latency_ms, payload"
)
_COPY = f"COPY messages ({_COLUMNS}) FROM STDIN (FORMAT BINARY)".encode()
_TYPES = [*("timestamptz", "text", "text", "text", "text", "text", "text"), "float4", "text"]

_READ = f"""
SELECT {_COLUMNS} FROM messages
WHERE charging_point_id = %(charging_point)s AND at > %(after)s AND at <= %(until)s
ORDER BY at LIMIT %(limit)s
""".encode()


class Direction(StrEnum):
    """Who sent a message."""

    IN = "in"
    """The charging point."""
    OUT = "out"
    """We."""
    NODE = "node"
    """Nobody: a node notes what became of a connection."""


class LoggedMessage(NamedTuple):
    """A row of the log.

    at: aware UTC. kind: call, result, error or unreadable; connected or disconnected of a node.
    outcome: an error's code, what was repaired, a refusal's rule, the cause of an end; '' if
    nothing is to be said. latency_milliseconds: between a call and this answer. payload: JSON, or
    the text as it came where it is none; without secrets, tokens hashed.
    """

    at: datetime
    charging_point_id: str
    direction: Direction
    kind: str
    action: str = ""
    message_id: str = ""
    outcome: str = ""
    latency_milliseconds: float | None = None
    payload: str = ""


async def copy(connection: AsyncConnection, messages: Iterable[LoggedMessage]) -> None:
    """Append messages, all or none. Raises psycopg.Error."""
    async with connection.cursor() as cursor, cursor.copy(_COPY) as rows:
        rows.set_types(_TYPES)
        for message in messages:
            await rows.write_row(message)


async def keep_partitions(connection: AsyncConnection, *, keep_days: int) -> None:
    """Make the partitions of the days to come, and drop those that are older than so many days."""
    await connection.execute(
        "SELECT keep_message_partitions(%s, %s)", [PARTITIONS_AHEAD_DAYS, keep_days]
    )


async def token_key(connection: AsyncConnection) -> bytes:
    """Return the key by which tokens in the log are hashed; make it the first time."""
    await connection.execute(
        "INSERT INTO hash_keys (name, key)"
        " VALUES ('tokens', uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))"
        " ON CONFLICT DO NOTHING"
    )
    row = await (
        await connection.execute("SELECT key FROM hash_keys WHERE name = 'tokens'")
    ).fetchone()
    assert row is not None
    return bytes(row[0])


def read(
    connection: Connection,
    charging_point_id: str,
    *,
    after: datetime,
    until: datetime,
    limit: int,
) -> Sequence[LoggedMessage]:
    """Return what was exchanged with a charging point after a time, the oldest first."""
    rows = connection.execute(
        _READ,
        {
            "charging_point": charging_point_id,
            "after": after,
            "until": until,
            "limit": limit,
        },
    )
    return [LoggedMessage(row[0], row[1], Direction(row[2]), *row[3:]) for row in rows]


async def lenses(connection: AsyncConnection) -> set[str]:
    """Return the charging points of which all messages are kept now."""
    cursor = await connection.execute(
        "SELECT charging_point_id FROM charging_points WHERE lens_until > now()"
    )
    return {row[0] async for row in cursor}


def set_lens(connection: Connection, charging_point_id: str, time: timedelta | None) -> bool:
    """Keep all messages of a charging point for so long from now; None: as usual.

    Return whether there is such a charging point.
    """
    cursor = connection.execute(
        "UPDATE charging_points SET lens_until = now() + %s WHERE charging_point_id = %s",
        [time, charging_point_id],
    )
    return cursor.rowcount == 1
