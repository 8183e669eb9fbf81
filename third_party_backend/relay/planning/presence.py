"""Charging points that stay offline, and those that are back."""

from __future__ import annotations

from charging.database.presence import is_online
from third_party_backend.relay.planning.catalogue import plan_statuses
from third_party_backend.relay.planning.context import STATUS_BATCH, Context


def watch(context: Context) -> None:
    """Plan the statuses of charging points that are offline beyond the grace period, or back.

    `absences` has a row for each that offers an EVSE for roaming and is offline.
    """
    connection, settings = context.connection, context.settings
    present = is_online("a.charging_point_id", settings.presence_timeout)
    back = connection.execute(
        f"DELETE FROM absences AS a WHERE {present} RETURNING charging_point_id, told".encode()
    ).fetchall()
    connection.execute(
        f"""
        INSERT INTO absences (charging_point_id)
        SELECT DISTINCT a.charging_point_id FROM evses AS a
        WHERE a.roaming AND NOT {present}
        ON CONFLICT DO NOTHING
        """.encode()
    )
    gone = connection.execute(
        "UPDATE absences SET told = true"
        " WHERE NOT told AND since <= now() - make_interval(secs => %s)"
        " RETURNING charging_point_id",
        [settings.offline_grace],
    ).fetchall()
    changed = sorted({row[0] for row in back if row[1]} | {row[0] for row in gone})
    for start in range(0, len(changed), STATUS_BATCH):
        plan_statuses(connection, changed[start : start + STATUS_BATCH])
