"""Which nodes live, and which charging points are online: one rule for every program.

A node writes its heartbeat every few seconds. One that was silent for STALE_SECONDS counts as
dead, and the charging points whose sockets it held as offline. After FORGOTTEN_SECONDS its row is
deleted, and its connections with it.
"""

from __future__ import annotations

from charging.database.connection import AsyncCursor, Connection

STALE_SECONDS = 15.0
FORGOTTEN_SECONDS = 60.0


def is_alive(node: str = "nodes", seconds: float = STALE_SECONDS) -> str:
    """Return an SQL condition: a node's heartbeat is recent. node: the table's name or alias."""
    return f"({node}.heartbeat_at > now() - make_interval(secs => {float(seconds)}))"


def is_online(charging_point_id: str, seconds: float = STALE_SECONDS) -> str:
    """Return an SQL condition: a living node holds the charging point's socket.

    charging_point_id: an SQL expression such as ``e.charging_point_id`` or a placeholder.
    """
    return (
        "EXISTS (SELECT 1 FROM connections AS held JOIN nodes AS holder USING (node_id)"
        f" WHERE held.charging_point_id = {charging_point_id}"
        f" AND {is_alive('holder', seconds)})"
    )


def node_state(node: str = "nodes", seconds: float = STALE_SECONDS) -> str:
    """Return an SQL expression: ``serving``, ``draining`` or ``silent``."""
    return (
        f"CASE WHEN NOT {is_alive(node, seconds)} THEN 'silent'"
        f" WHEN {node}.draining THEN 'draining' ELSE 'serving' END"
    )


def online(connection: Connection, charging_point_id: str, seconds: float = STALE_SECONDS) -> bool:
    """Return whether a living node holds the charging point's socket."""
    row = connection.execute(
        f"SELECT {is_online('%s', seconds)}".encode(), [charging_point_id]
    ).fetchone()
    assert row is not None
    return bool(row[0])


async def forget_silent_nodes(cursor: AsyncCursor) -> None:
    """Delete nodes that have been silent for FORGOTTEN_SECONDS, and their connections."""
    await cursor.execute(
        f"DELETE FROM nodes WHERE NOT {is_alive(seconds=FORGOTTEN_SECONDS)}".encode()
    )
