"""Tokens that were shown and may not charge: counted by token and charging point.

Whoever holds a card to a reader can add to it, so it has a bound. No other module writes to
`refused_tokens`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from charging.database.connection import Connection

MOST_ROWS = 20_000
"""The oldest beyond these are removed."""
KEPT_DAYS = 90

# Sorted, so that two nodes that count the same tokens lock them in one order.
_RECORD = b"""
INSERT INTO refused_tokens AS r (id_tag, charging_point_id, decision, rule, count)
SELECT t.* FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
    AS t (id_tag, charging_point_id, decision, rule, count)
JOIN charging_points USING (charging_point_id)
ORDER BY 1, 2
ON CONFLICT (id_tag, charging_point_id) DO UPDATE
SET count = r.count + excluded.count, last_at = now(), decision = excluded.decision,
    rule = excluded.rule
"""

_TRIM = b"""
DELETE FROM refused_tokens WHERE refusal_id IN (
    SELECT refusal_id FROM refused_tokens
    WHERE last_at < greatest(
        now() - %s * interval '1 day',
        (SELECT last_at FROM refused_tokens ORDER BY last_at DESC OFFSET %s LIMIT 1))
    FOR UPDATE SKIP LOCKED)
"""

_COLUMNS = "refusal_id, id_tag, charging_point_id, decision, rule, count, first_at, last_at"


@dataclass(frozen=True, slots=True)
class CountedToken:
    """How often a token was refused at a charging point. decision, rule: the last."""

    id_tag: str
    charging_point_id: str
    decision: str
    rule: str
    count: int


@dataclass(frozen=True, slots=True)
class RefusedToken:
    """A token that was refused at a charging point. id_tag: '' if unreadable. Times: aware UTC."""

    refusal_id: int
    id_tag: str
    charging_point_id: str
    decision: str
    rule: str
    count: int
    first_at: datetime
    last_at: datetime


async def record(cursor: psycopg.AsyncCursor[Any], counted: Sequence[CountedToken]) -> None:
    """Add counts, each place at most once, and remove what is old or too much."""
    await cursor.execute(
        _RECORD,
        [
            [c.id_tag for c in counted],
            [c.charging_point_id for c in counted],
            [c.decision for c in counted],
            [c.rule for c in counted],
            [c.count for c in counted],
        ],
    )
    await cursor.execute(_TRIM, [KEPT_DAYS, MOST_ROWS - 1])


def read(
    connection: Connection, *, charging_point: str | None = None, limit: int
) -> list[RefusedToken]:
    """Return what was refused, the latest first. charging_point: None for all."""
    with connection.cursor(row_factory=class_row(RefusedToken)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM refused_tokens"
            " WHERE %(name)s::text IS NULL OR charging_point_id = %(name)s"
            " ORDER BY last_at DESC, refusal_id LIMIT %(limit)s".encode(),
            {"name": charging_point, "limit": limit},
        ).fetchall()


def find(connection: Connection, refusal_id: int) -> RefusedToken | None:
    """Return a refusal by its number."""
    with connection.cursor(row_factory=class_row(RefusedToken)) as cursor:
        return cursor.execute(
            f"SELECT {_COLUMNS} FROM refused_tokens WHERE refusal_id = %s".encode(), [refusal_id]
        ).fetchone()


def forget(connection: Connection, id_tag: str) -> None:
    """Remove a token from the list, since it may charge now."""
    connection.execute("DELETE FROM refused_tokens WHERE id_tag = %s", [id_tag])
