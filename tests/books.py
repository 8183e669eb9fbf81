"""What was charged, as the database has it and as the charging points report it."""

from __future__ import annotations

from typing import Any


def recorded(database: Any) -> dict[int, tuple[int, int]]:
    """Ended sessions in the database: number → energy in Wh, count of readings."""
    rows = database.execute(
        """
        SELECT s.session_id, s.energy_wh, count(m.session_id)
        FROM sessions AS s LEFT JOIN meter_values AS m USING (charging_point_id, session_id)
        WHERE s.state = 'ended' GROUP BY s.session_id
        """
    ).fetchall()
    return {row[0]: (row[1], row[2]) for row in rows}


def reported(report: dict[str, Any]) -> dict[int, tuple[int, int]]:
    """The same, from a simulator's report."""
    return {
        s["transaction_id"]: (s["energy_wh"], s["meter_values_acknowledged"])
        for s in report["sessions"]
    }
