"""How the EVSEs of a charging point are now, and how they were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from psycopg.rows import class_row

from charging.database import states
from charging.database.connection import Connection
from charging.database.states import StateChange
from operations import charging_points
from operations.errors import InvalidError

MAX_LIMIT = 10_000
MAX_DAYS = 400


@dataclass(frozen=True, slots=True)
class EvseNow:
    """An EVSE, by the last that its charging point reported; 0 is the charging point as a whole.

    state: charging.evse.EvseState; reported: the charging point's own word, since then. session:
    that charges there; energy_wh: of it so far, by its last reading. power_w: as that reading
    reports it, or else the mean between it and the one before (power_is). Times are aware UTC.
    """

    evse: int
    evse_id: str | None
    state: str
    reported: str | None
    error: str | None
    since: datetime | None
    session: int | None
    energy_wh: int | None
    power_w: int | None
    power_is: str | None
    last_reading_at: datetime | None
    last_reading_age_seconds: int | None


# A reading that is later than now, by the charging point's clock, is 0 seconds old.
_NOW = b"""
SELECT e.evse_number AS evse, e.evse_id, e.state, e.status AS reported, e.error_code AS error,
       e.status_at AS since, s.session_id AS session,
       CASE WHEN last.energy_wh IS NOT NULL
            THEN greatest(0, last.energy_wh - s.meter_start_wh) END AS energy_wh,
       round(coalesce(last.reported_w, last.mean_w))::int AS power_w,
       CASE WHEN last.reported_w IS NOT NULL THEN 'reported'
            WHEN last.mean_w IS NOT NULL THEN 'mean' END AS power_is,
       any_reading.sampled_at AS last_reading_at,
       CASE WHEN any_reading.sampled_at IS NOT NULL
            THEN greatest(0, extract(epoch FROM now() - any_reading.sampled_at))::int END
           AS last_reading_age_seconds
FROM evses AS e
LEFT JOIN LATERAL (
    SELECT session_id, meter_start_wh FROM sessions AS s
    WHERE s.charging_point_id = e.charging_point_id AND s.evse_number = e.evse_number
      AND s.state = 'charging'
    ORDER BY session_id DESC LIMIT 1) AS s ON true
LEFT JOIN LATERAL (
    SELECT m.sampled_at FROM meter_values AS m
    WHERE m.charging_point_id = e.charging_point_id AND m.evse_number = e.evse_number
    ORDER BY m.sampled_at DESC LIMIT 1) AS any_reading ON true
LEFT JOIN LATERAL (
    SELECT m.energy_wh, power_of_samples(m.sampled_values, m.form_id, m.form_values) AS reported_w,
           CASE WHEN m.energy_wh >= before.energy_wh AND m.sampled_at > before.sampled_at
               THEN (m.energy_wh - before.energy_wh) * 3600
                    / extract(epoch FROM m.sampled_at - before.sampled_at) END AS mean_w
    FROM meter_values AS m
    LEFT JOIN LATERAL (
        SELECT b.energy_wh, b.sampled_at FROM meter_values AS b
        WHERE b.session_id = m.session_id AND b.charging_point_id = m.charging_point_id
          AND b.sampled_at < m.sampled_at AND b.energy_wh IS NOT NULL
        ORDER BY b.sampled_at DESC LIMIT 1) AS before ON true
    WHERE m.session_id = s.session_id AND m.charging_point_id = e.charging_point_id
    ORDER BY m.sampled_at DESC LIMIT 1) AS last ON true
WHERE e.charging_point_id = %s
ORDER BY e.evse_number
"""


def show(connection: Connection, charging_point: str) -> list[EvseNow]:
    """Return how the EVSEs of a charging point are, by number. Raises NotFoundError."""
    charging_points.check_known(connection, charging_point)
    with connection.cursor(row_factory=class_row(EvseNow)) as cursor:
        return cursor.execute(_NOW, [charging_point]).fetchall()


def history(
    connection: Connection,
    charging_point: str,
    *,
    evse: int | None = None,
    days: float = 30,
    limit: int = 100,
) -> list[StateChange]:
    """Return the states that a charging point's EVSEs took, the latest first.

    evse: None for all. days: how far back. Raises InvalidError, NotFoundError.
    """
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidError(f"--limit must be 1 to {MAX_LIMIT}")
    if not 0 < days <= MAX_DAYS:
        raise InvalidError(f"--days must be more than 0 and at most {MAX_DAYS}")
    charging_points.check_known(connection, charging_point)
    after = datetime.now(UTC) - timedelta(days=days)
    return states.read(connection, charging_point, evse=evse, after=after, limit=limit)
