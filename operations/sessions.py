"""Charging sessions and their energy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg.rows import class_row

from charging.database.connection import Connection
from charging.identity import redact
from operations.errors import InvalidError, NotFoundError

MAX_LIMIT = 10_000

_COLUMNS = """
    session_id AS session, charging_point_id AS charging_point, evse_number AS evse,
    id_tag AS token, state, started_at, ended_at, meter_start_wh, meter_stop_wh,
    coalesce(energy_wh, greatest(0, (
        SELECT max(m.energy_wh) FROM meter_values AS m
        WHERE m.session_id = sessions.session_id
          AND m.charging_point_id = sessions.charging_point_id) - meter_start_wh)) AS energy_wh,
    stop_cause, stop_reason, presumed
"""


@dataclass(frozen=True, slots=True)
class Session:
    """A session. token: its end only. energy_wh: of one that still charges, by its last reading.

    stop_cause: charging.session.StopCause; stop_reason: the charging point's own word for it.
    presumed: charging.presumption.Presumption; None where its end was reported.
    """

    session: int
    charging_point: str
    evse: int
    token: str
    state: str
    started_at: datetime
    ended_at: datetime | None
    meter_start_wh: int
    meter_stop_wh: int | None
    energy_wh: int | None
    stop_cause: str | None
    stop_reason: str | None
    presumed: str | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A meter reading; sampled_values: all its values as they were reported."""

    sampled_at: datetime
    energy_wh: int | None
    sampled_values: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class UnassignedFact:
    """A billing fact, whole, of a session that is not known or that ended otherwise before.

    register_wh, at: what it says of them, None where that cannot be read.
    """

    fact: int
    charging_point: str
    action: str
    register_wh: int | None
    at: datetime | None
    payload: dict[str, Any]
    received_at: datetime


def list_newest(
    connection: Connection,
    *,
    charging_point: str | None = None,
    state: str | None = None,
    limit: int = 100,
) -> list[Session]:
    """Return sessions, newest first. state: ``charging`` or ``ended``. Raises InvalidError."""
    check_limit(limit)
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        sessions = cursor.execute(
            f"""
            SELECT {_COLUMNS} FROM sessions
            WHERE (%(name)s::text IS NULL OR charging_point_id = %(name)s)
              AND (%(state)s::text IS NULL OR state = %(state)s)
            ORDER BY started_at DESC, session_id DESC LIMIT %(limit)s
            """.encode(),
            {"name": charging_point, "state": state, "limit": limit},
        ).fetchall()
    return [_redacted(session) for session in sessions]


def get(connection: Connection, session_id: int) -> tuple[Session, list[Reading]]:
    """Return a session and its readings, oldest first. Raises NotFoundError."""
    with connection.cursor(row_factory=class_row(Session)) as cursor:
        session = cursor.execute(
            f"SELECT {_COLUMNS} FROM sessions WHERE session_id = %s".encode(), [session_id]
        ).fetchone()
    if session is None:
        raise unknown(session_id)
    with connection.cursor(row_factory=class_row(Reading)) as cursor:
        readings = cursor.execute(
            "SELECT sampled_at, energy_wh,"
            " whole_samples(sampled_values, form_id, form_values) AS sampled_values"
            " FROM meter_values"
            " WHERE session_id = %s AND charging_point_id = %s ORDER BY sampled_at",
            [session_id, session.charging_point],
        ).fetchall()
    return _redacted(session), readings


def list_unassigned(connection: Connection) -> list[UnassignedFact]:
    """Return the billing facts whose session is not known and which wait, oldest first."""
    with connection.cursor(row_factory=class_row(UnassignedFact)) as cursor:
        return cursor.execute(
            "SELECT fact_id AS fact, charging_point_id AS charging_point, action,"
            " register_of_fact(payload) AS register_wh, time_of_fact(payload) AS at, payload,"
            " received_at FROM unassigned_facts WHERE settled_at IS NULL ORDER BY fact_id"
        ).fetchall()


def unknown(session_id: int) -> NotFoundError:
    """Return the error that there is no such session."""
    return NotFoundError(f"no session {session_id}; `sessions list` shows the newest")


def check_limit(limit: int) -> None:
    """Raise InvalidError where so many rows cannot be asked for."""
    if not 0 < limit <= MAX_LIMIT:
        raise InvalidError(f"a limit is 1 to {MAX_LIMIT}, not {limit}")


def _redacted(session: Session) -> Session:
    return replace(session, token=redact(session.token))
