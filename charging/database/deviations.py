"""What charging points send in other forms than the standard's: counted, and listed.

No other module writes to `deviations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from charging.database.connection import Connection

MOST_OF_A_CHARGING_POINT = 200
"""Rows of one charging point: names of members are its own to choose, so they have a bound."""

_RECORD = b"""
WITH counted AS (
    SELECT charging_point_id, coalesce(c.firmware_version, '') AS firmware_version, action, path,
           repair, coalesce(c.vendor, '') AS vendor, coalesce(c.model, '') AS model, t.count,
           t.sample
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])
        AS t (charging_point_id, action, path, repair, count, sample)
    JOIN charging_points AS c USING (charging_point_id)
)
INSERT INTO deviations AS d (charging_point_id, firmware_version, action, path, repair, vendor,
                             model, count, sample)
SELECT * FROM counted
WHERE (SELECT count(*) FROM deviations AS o
       WHERE o.charging_point_id = counted.charging_point_id) < %s
   OR EXISTS (SELECT FROM deviations AS o
              WHERE (o.charging_point_id, o.firmware_version, o.action, o.path, o.repair)
                  = (counted.charging_point_id, counted.firmware_version, counted.action,
                     counted.path, counted.repair))
ORDER BY charging_point_id, firmware_version, action, path, repair
ON CONFLICT (charging_point_id, firmware_version, action, path, repair) DO UPDATE
SET count = d.count + excluded.count, last_at = now(), vendor = excluded.vendor,
    model = excluded.model
"""


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a charging point deviated in one way. repair: how it was repaired."""

    charging_point_id: str
    action: str
    path: str
    repair: str
    count: int
    sample: str


@dataclass(frozen=True, slots=True)
class Deviation:
    """A way in which charging points of a model deviate. sample: one of what came."""

    vendor: str
    model: str
    firmware_version: str
    action: str
    path: str
    repair: str
    charging_points: int
    count: int
    sample: str
    last_at: datetime


async def record(cursor: psycopg.AsyncCursor[Any], counted: Sequence[Counted]) -> None:
    """Add counts, each place of a charging point at most once; unknown ones are passed over."""
    await cursor.execute(
        _RECORD,
        [
            [c.charging_point_id for c in counted],
            [c.action for c in counted],
            [c.path for c in counted],
            [c.repair for c in counted],
            [c.count for c in counted],
            [c.sample for c in counted],
            MOST_OF_A_CHARGING_POINT,
        ],
    )


def read(
    connection: Connection, *, charging_point_id: str | None = None, limit: int = 100
) -> list[Deviation]:
    """Return deviations by model, the most frequent first; of one charging point if it is named."""
    rows = connection.execute(
        """
        SELECT vendor, model, firmware_version, action, path, repair,
               count(DISTINCT charging_point_id), sum(count)::bigint, min(sample), max(last_at)
        FROM deviations
        WHERE %(charging_point)s::text IS NULL OR charging_point_id = %(charging_point)s
        GROUP BY vendor, model, firmware_version, action, path, repair
        ORDER BY sum(count) DESC, vendor, model, action, path LIMIT %(limit)s
        """,
        {"charging_point": charging_point_id, "limit": limit},
    )
    return [Deviation(*row) for row in rows]
