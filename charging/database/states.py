"""The history of EVSEs' states: a row each time that one changes, a partition a month.

Nodes write to `state_history` with the state itself (`cp_backend.store.statuses`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.rows import class_row

from charging.database.connection import Connection

_READ = b"""
SELECT evse_number AS evse, changed_at AS since, state, status AS reported, error_code AS error,
       coalesce(next_at, now()) - changed_at AS lasted, next_at IS NULL AS now
FROM (SELECT h.*, lead(changed_at) OVER (PARTITION BY evse_number ORDER BY history_id) AS next_at
      FROM state_history AS h
      WHERE charging_point_id = %(name)s AND received_at > %(after)s
        AND (%(evse)s::int IS NULL OR evse_number = %(evse)s)) AS each
ORDER BY history_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state that an EVSE took. since: aware UTC; evse: 0 is the charging point as a whole.

    reported: in the charging point's own word. lasted: until the next; now: none has followed.
    """

    evse: int
    since: datetime
    state: str
    reported: str
    error: str | None
    lasted: timedelta
    now: bool


def read(
    connection: Connection,
    charging_point: str,
    *,
    evse: int | None,
    after: datetime,
    limit: int,
) -> list[StateChange]:
    """Return the changes of a charging point's EVSEs after a time, the latest first."""
    with connection.cursor(row_factory=class_row(StateChange)) as cursor:
        return cursor.execute(
            _READ, {"name": charging_point, "evse": evse, "after": after, "limit": limit}
        ).fetchall()
