"""Charging points' own lists of tokens, as they have taken them last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging.database.connection import AsyncCursor, Connection

# The newest of several wins.
_TAKE = b"""
INSERT INTO local_lists AS l (charging_point_id, version, entries)
SELECT DISTINCT ON (charging_point_id) charging_point_id, (arguments->>'version')::int,
       CASE WHEN arguments->'full' = 'false' THEN arguments->'whole'
            ELSE coalesce(arguments->'entries', '[]') END
FROM commands
WHERE command_id = ANY(%s) AND (arguments->'full' IS DISTINCT FROM 'false' OR arguments ? 'whole')
ORDER BY charging_point_id, command_id DESC
ON CONFLICT (charging_point_id) DO UPDATE
SET version = excluded.version, entries = excluded.entries, taken_at = now()
"""


@dataclass(frozen=True, slots=True)
class LocalList:
    """A list that a charging point has taken. entries: JSON, as `intents.LocalListEntry` has it."""

    charging_point: str
    version: int
    entries: list[dict[str, Any]]
    taken_at: datetime


async def take(cursor: AsyncCursor, command_ids: Sequence[int]) -> None:
    """Note the lists that charging points have accepted by these commands."""
    await cursor.execute(_TAKE, [list(command_ids)])


def of(connection: Connection, charging_points: Sequence[str]) -> dict[str, LocalList]:
    """Return the lists of charging points, by identity; those without one are left out."""
    rows = connection.execute(
        "SELECT charging_point_id, version, entries, taken_at FROM local_lists"
        " WHERE charging_point_id = ANY(%s)",
        [list(charging_points)],
    )
    return {row[0]: LocalList(*row) for row in rows}
