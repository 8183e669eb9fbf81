"""Nodes and the connections that they hold: rows that say which node owns which socket."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from charging.database import commands, following, passwords
from charging.database.connection import AsyncCursor
from charging.database.presence import forget_silent_nodes
from cp_backend.committer import Committer, OnResult
from cp_backend.vocabulary import JsonObject

NODE_CHANNEL_PREFIX = "node_"
"""NOTIFY channel of one node: its id in hex follows. The payload is the ids of charging points
that have moved to another node, one a line."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection as its row shows it.

    opened_at: by `time.monotonic`. Its row has the database's time: the clocks of nodes differ, and
    may jump.
    """

    charging_point_id: str
    connection_id: int
    ocpp_version: str
    remote_address: str
    opened_at: float
    security_profile: int


class Closed(NamedTuple):
    """The end of a connection."""

    charging_point_id: str
    connection_id: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A node's sign of life."""

    node_id: UUID
    address: str
    process_id: int
    draining: bool
    figures: JsonObject


class Presence:
    """Writes which connections a node holds, and that it lives."""

    def __init__(self, lookups: Committer, facts: Committer, node_id: UUID) -> None:
        self._lookups = lookups
        self._facts = facts
        self._node_id = node_id

    def opened(self, connection: Opened, on_result: OnResult[None]) -> None:
        """Take over a charging point; another node that held it is notified."""
        self._facts.submit(
            self.open_connections, connection, on_result, key=connection.charging_point_id
        )

    def closed(self, connection: Closed, on_result: OnResult[None]) -> None:
        """Give up a charging point, unless a newer connection has it."""
        self._facts.submit(
            close_connections, connection, on_result, key=connection.charging_point_id
        )

    def report(self, heartbeat: Heartbeat) -> None:
        """Write a heartbeat, without waiting for it."""
        self._facts.submit(write_heartbeats, heartbeat, _ignore, urgent=True)

    async def beat(self, heartbeat: Heartbeat) -> bool:
        """Write a heartbeat; return False when the node's row had to be made anew.

        It comes before all that waits: a node that is busy must not be taken for dead. Raises
        DatabaseAwayError, psycopg.Error.
        """
        return await self._facts.ask(write_heartbeats, heartbeat, urgent=True)

    async def leave(self) -> None:
        """Take the node and its connections out of the database."""
        await self._facts.ask(remove_nodes, self._node_id)

    async def owners(self, charging_point_ids: Sequence[str]) -> dict[str, int]:
        """Return the ids of the connections that own charging points by now."""
        return await self._lookups.ask(look_up_owners, charging_point_ids)

    async def open_connections(
        self, cursor: AsyncCursor, opened: Sequence[Opened]
    ) -> Sequence[None]:
        """Take over charging points for this node; the newest connection of each wins."""
        # Two sockets of one charging point in a batch: the later one is the newer one.
        latest = {each.charging_point_id: each for each in opened}
        now = time.monotonic()
        await cursor.execute(
            _OPEN,
            {
                "node": self._node_id,
                "channel": NODE_CHANNEL_PREFIX,
                "ids": list(latest),
                "connections": [each.connection_id for each in latest.values()],
                "versions": [each.ocpp_version for each in latest.values()],
                "addresses": [each.remote_address for each in latest.values()],
                "ages": [now - each.opened_at for each in latest.values()],
                "profiles": [each.security_profile for each in latest.values()],
            },
        )
        return [None] * len(opened)


def _ignore(_: bool | Exception) -> None:
    pass


_OPEN = b"""
WITH opened AS (
    SELECT * FROM unnest(
        %(ids)s::text[], %(connections)s::bigint[], %(versions)s::text[], %(addresses)s::text[],
        %(ages)s::float8[], %(profiles)s::smallint[]
    ) AS t (charging_point_id, connection_id, ocpp_version, remote_address, age_seconds,
            security_profile)
), losers AS (
    SELECT charging_point_id, node_id FROM connections
    WHERE charging_point_id = ANY(%(ids)s::text[]) AND node_id <> %(node)s
), taken AS (
    INSERT INTO connections (charging_point_id, node_id, connection_id, ocpp_version,
                             remote_address, connected_at, security_profile)
    SELECT charging_point_id, node_id, connection_id, ocpp_version, remote_address,
           clock_timestamp() - make_interval(secs => age_seconds), security_profile
    -- a node whose row was cleared away writes all its presence with the next heartbeat
    FROM opened JOIN nodes ON node_id = %(node)s ORDER BY charging_point_id
    ON CONFLICT (charging_point_id) DO UPDATE
    SET node_id = excluded.node_id, connection_id = excluded.connection_id,
        ocpp_version = excluded.ocpp_version, remote_address = excluded.remote_address,
        connected_at = excluded.connected_at, security_profile = excluded.security_profile
    WHERE connections.connected_at <= excluded.connected_at
    RETURNING charging_point_id
), numbered AS (
    SELECT node_id, charging_point_id,
           -- a notification holds 8000 bytes, a charging point's id up to 4 x 48
           (row_number() OVER (PARTITION BY node_id)) / 40 AS part
    FROM losers JOIN taken USING (charging_point_id)
)
SELECT pg_notify(%(channel)s || replace(node_id::text, '-', ''),
                 string_agg(charging_point_id, E'\\n'))
FROM numbered GROUP BY node_id, part
"""


async def close_connections(cursor: AsyncCursor, closed: Sequence[Closed]) -> Sequence[None]:
    """Remove connections, comparing their ids: an old socket's end evicts no successor.

    It waits for no lock, so it can stand in nobody's way: a row that is locked is being taken by
    a newer connection, a charging point that is locked is being seen by somebody else.
    """
    await cursor.execute(
        """
        WITH ends AS (
            SELECT charging_point_id FROM connections
            JOIN unnest(%(ids)s::text[], %(connections)s::bigint[])
                AS t (charging_point_id, connection_id) USING (charging_point_id, connection_id)
            FOR UPDATE OF connections SKIP LOCKED
        ), gone AS (
            DELETE FROM connections USING ends
            WHERE connections.charging_point_id = ends.charging_point_id
            RETURNING connections.charging_point_id
        ), seen AS (
            SELECT charging_point_id FROM charging_points JOIN gone USING (charging_point_id)
            FOR NO KEY UPDATE OF charging_points SKIP LOCKED
        )
        UPDATE charging_points SET last_seen_at = now() FROM seen
        WHERE charging_points.charging_point_id = seen.charging_point_id
        """,
        {
            "ids": [each.charging_point_id for each in closed],
            "connections": [each.connection_id for each in closed],
        },
    )
    return [None] * len(closed)


async def write_heartbeats(cursor: AsyncCursor, beats: Sequence[Heartbeat]) -> Sequence[bool]:
    """Note heartbeats; clear away nodes and commands that have been given up.

    Returns, for each, whether the node's row was there.
    """
    known = []
    for node in beats:
        await cursor.execute(
            "UPDATE nodes SET heartbeat_at = now(), draining = %s, figures = %s WHERE node_id = %s",
            [node.draining, json.dumps(node.figures), node.node_id],
        )
        known.append(cursor.rowcount == 1)
        if cursor.rowcount == 0:
            await cursor.execute(
                "INSERT INTO nodes (node_id, address, process_id, draining)"
                " VALUES (%s, %s, %s, %s)",
                [node.node_id, node.address, node.process_id, node.draining],
            )
    await forget_silent_nodes(cursor)
    await commands.expire(cursor)
    await following.forget(cursor)
    await passwords.purge(cursor)
    return known


async def look_up_owners(
    cursor: AsyncCursor, groups: Sequence[Sequence[str]]
) -> Sequence[dict[str, int]]:
    """Return, for each group of charging points, their connection ids."""
    await cursor.execute(
        "SELECT charging_point_id, connection_id FROM connections"
        " WHERE charging_point_id = ANY(%s)",
        [[charging_point_id for group in groups for charging_point_id in group]],
    )
    found: dict[str, int] = {row[0]: row[1] async for row in cursor}
    return [{name: found[name] for name in group if name in found} for group in groups]


async def remove_nodes(cursor: AsyncCursor, node_ids: Sequence[UUID]) -> Sequence[None]:
    """Remove nodes and, with them, the connections that they still own."""
    await cursor.execute("DELETE FROM nodes WHERE node_id = ANY(%s)", [list(node_ids)])
    return [None] * len(node_ids)
