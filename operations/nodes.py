"""The nodes that hold charging points' connections, and the figures that they write down."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.rows import class_row

from charging.database.connection import Connection
from charging.database.presence import node_state


@dataclass(frozen=True, slots=True)
class Node:
    """A node. state: serving, draining or silent. figures: explained in docs/metrics.md."""

    node: UUID
    address: str
    process: int
    started_at: datetime
    heartbeat_at: datetime
    state: str
    figures: dict[str, Any]


def list_all(connection: Connection) -> list[Node]:
    """Return all nodes, oldest first."""
    with connection.cursor(row_factory=class_row(Node)) as cursor:
        return cursor.execute(
            f"""
            SELECT node_id AS node, address, process_id AS process, started_at, heartbeat_at,
                   {node_state("nodes")} AS state, figures
            FROM nodes ORDER BY started_at, node_id
            """.encode()
        ).fetchall()
