"""Handshakes that were refused: counted by cause, path and address.

Whoever reaches the port can add to it, so it has a bound. No other module writes to
`refused_handshakes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from charging.database.connection import Connection

MOST_ROWS = 10_000
"""The oldest beyond these are removed."""
KEPT_DAYS = 30

# Sorted, so that two nodes that count the same places lock them in one order.
_RECORD = b"""
INSERT INTO refused_handshakes AS r (cause, path, address, detail, count)
SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
ORDER BY 1, 2, 3
ON CONFLICT (cause, path, address) DO UPDATE
SET count = r.count + excluded.count, last_at = now(), detail = excluded.detail
"""

_TRIM = b"""
DELETE FROM refused_handshakes WHERE (cause, path, address) IN (
    SELECT cause, path, address FROM refused_handshakes
    WHERE last_at < greatest(
        now() - %s * interval '1 day',
        (SELECT last_at FROM refused_handshakes ORDER BY last_at DESC OFFSET %s LIMIT 1))
    FOR UPDATE SKIP LOCKED)
"""


@dataclass(frozen=True, slots=True)
class CountedRefusal:
    """How often a cause met an address at a path. detail: what the client says it is, or offers."""

    cause: str
    path: str
    address: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True)
class RefusedHandshakes:
    """Refused handshakes of one cause, path and address. Times are aware UTC."""

    cause: str
    path: str
    address: str
    detail: str
    count: int
    first_at: datetime
    last_at: datetime


async def record(cursor: psycopg.AsyncCursor[Any], counted: Sequence[CountedRefusal]) -> None:
    """Add counts, each place at most once, and remove what is old or too much."""
    await cursor.execute(
        _RECORD,
        [
            [c.cause for c in counted],
            [c.path for c in counted],
            [c.address for c in counted],
            [c.detail for c in counted],
            [c.count for c in counted],
        ],
    )
    await cursor.execute(_TRIM, [KEPT_DAYS, MOST_ROWS - 1])


def read(
    connection: Connection, *, charging_point: str | None = None, limit: int
) -> list[RefusedHandshakes]:
    """Return what was refused, the latest first. charging_point: that ends the path."""
    rows = connection.execute(
        "SELECT cause, path, address, detail, count, first_at, last_at FROM refused_handshakes"
        " WHERE %(name)s::text IS NULL OR right(path, length(%(name)s) + 1) = '/' || %(name)s"
        " ORDER BY last_at DESC, cause, path, address LIMIT %(limit)s",
        {"name": charging_point, "limit": limit},
    )
    return [RefusedHandshakes(*row) for row in rows]
