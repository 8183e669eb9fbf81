"""Who charges in a capacity run; what the backend acknowledged, compared with the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from charging.credential import hash_password, new_password, new_salt
from charging.database.connection import Connection

TOKEN = "SIMULATOR"  # noqa: S105 - an idTag, and no secret
PREFIX = "CAP"


def register(connection: Connection, count: int, credentials: Path) -> None:
    """Register so many charging points with passwords of their own, and the token they show.

    credentials: a CSV file to write identity and password to.
    """
    with (
        credentials.open("w") as file,
        connection.cursor() as cursor,
        cursor.copy(
            "COPY charging_points (charging_point_id, password_salt, password_hash) FROM STDIN"
        ) as copy,
    ):
        for number in range(1, count + 1):
            name, password, salt = f"{PREFIX}{number:06d}", new_password(), new_salt()
            copy.write_row((name, salt, hash_password(password.encode(), salt)))
            file.write(f"{name},{password}\n")
    connection.execute("INSERT INTO tokens (id_tag) VALUES (%s)", [TOKEN])
    connection.execute("ANALYZE charging_points")


@dataclass(frozen=True)
class Books:
    """What was acknowledged, by the charging points' account, and what is in the database.

    lost: readings and sessions that were acknowledged and are not there. too_many: readings
    there of which no acknowledgement arrived: possible only if the simulator was cut off.
    """

    sessions: int
    readings: int
    energy_wh: int
    sessions_recorded: int
    readings_recorded: int
    energy_recorded_wh: int
    lost: int
    too_many: int


def compare(connection: Connection, files: list[Path]) -> Books:
    """Compare the simulator's books with the database, charging point by charging point."""
    connection.execute(
        "CREATE TEMPORARY TABLE said (charging_point_id text, session_id int, name text,"
        " energy_wh bigint, readings int, ended int)"
    )
    with connection.cursor().copy("COPY said FROM STDIN (FORMAT csv)") as copy:
        for file in files:
            copy.write(file.read_bytes())
    connection.execute(
        """
        UPDATE said SET session_id = s.session_id FROM sessions AS s
        WHERE said.name <> '' AND said.session_id > 0
            AND (s.charging_point_id, s.station_session) = (said.charging_point_id, said.name)
        """
    )
    row = connection.execute(
        """
        WITH there AS (
            SELECT session_id, count(*) AS readings FROM meter_values
            WHERE session_id IS NOT NULL GROUP BY session_id
        )
        SELECT count(*) FILTER (WHERE said.ended = 1),
               coalesce(sum(said.readings), 0)::bigint,
               coalesce(sum(said.energy_wh) FILTER (WHERE said.ended = 1), 0)::bigint,
               count(s.session_id) FILTER (WHERE s.state = 'ended'),
               coalesce(sum(t.readings), 0)::bigint,
               coalesce(sum(s.energy_wh), 0)::bigint,
               coalesce(sum(greatest(0, said.readings - coalesce(t.readings, 0))), 0)::bigint
                   + count(*) FILTER (WHERE s.session_id IS NULL AND said.session_id > 0),
               coalesce(sum(greatest(0, coalesce(t.readings, 0) - said.readings)), 0)::bigint
        FROM said
        LEFT JOIN sessions AS s USING (session_id, charging_point_id)
        LEFT JOIN there AS t USING (session_id)
        """
    ).fetchone()
    assert row is not None
    return Books(*row)
