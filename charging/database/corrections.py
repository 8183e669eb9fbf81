"""What sessions were and became: a row for each change of an end that stood already.

No other module writes to `session_corrections`. A statement that changes sessions has a row of
`changed` for each in its WITH list (session_id, before, after as `facts_of` shows them, was_final)
and goes on with ``, {WRITTEN}``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from charging.database.connection import Connection, rows

WRITTEN = """
corrections AS (
    INSERT INTO session_corrections (session_id, person, reason, before, after, was_final)
    SELECT session_id, %(person)s, %(reason)s, before, after, was_final FROM changed
    RETURNING correction_id
)
"""
"""An item of a WITH list; parameters person (empty for the charging point itself) and reason."""


@dataclass(frozen=True, slots=True)
class Correction:
    """A change of a session. was_final: its record was out, or could be billed, before it."""

    correction: int
    session: int
    at: datetime
    person: str
    reason: str
    before: dict[str, Any]
    after: dict[str, Any]
    was_final: bool


def facts_of(session: str) -> str:
    """Return SQL for the facts of a session that a correction keeps; session: a row's alias."""
    names = ("started_at", "meter_start_wh", "ended_at", "meter_stop_wh", "presumed")
    members = ", ".join(f"'{name}', {session}.{name}" for name in names)
    return f"jsonb_build_object({members})"


def write(
    connection: Connection,
    session_id: int,
    person: str,
    reason: str,
    before: Mapping[str, Any],
    was_final: bool,
) -> None:
    """Keep what a session was, in the transaction that has changed it. before: as `facts_of`."""
    connection.execute(
        f"""
        INSERT INTO session_corrections (session_id, person, reason, before, after, was_final)
        SELECT session_id, %s, %s, %s, {facts_of("s")}, %s
        FROM sessions AS s WHERE session_id = %s
        """.encode(),
        [person, reason, Jsonb(dict(before)), was_final, session_id],
    )


def of_session(connection: Connection, session_id: int) -> list[Correction]:
    """Return the corrections of a session, oldest first."""
    found = rows(
        connection,
        "SELECT correction_id AS correction, session_id AS session, at, person, reason, before,"
        " after, was_final FROM session_corrections WHERE session_id = %s ORDER BY correction_id",
        [session_id],
    )
    return [Correction(**row) for row in found]
