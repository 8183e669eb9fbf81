"""Which charging points this node holds, as the database and the other nodes know it.

A connection's row is written when it opens and removed when it closes; what could not be written
is written again with the next heartbeat. A charging point that connects to another node is given
up here. Nothing of it waits for the database in the way of messages.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from charging.database.messages import Direction
from cp_backend.committer import DatabaseAwayError
from cp_backend.connection import Connection
from cp_backend.keepalive import TimerWheel
from cp_backend.message_log import MessageLog
from cp_backend.registry import Registry
from cp_backend.store.presence import Closed, Heartbeat, Opened
from cp_backend.store.store import Store
from cp_backend.telemetry import Metrics

BEAT_SECONDS = 5
# Until the database is there, often: a load balancer waits for us.
_FIRST_BEATS_SECONDS = 0.5

log = logging.getLogger(__name__)


class Presence:
    """Keeps the rows of a node and of its connections.

    draining: whether the node is stopping. on_beat: called before each heartbeat.
    """

    def __init__(
        self,
        node_id: UUID,
        store: Store,
        registry: Registry,
        wheel: TimerWheel,
        message_log: MessageLog,
        metrics: Metrics,
        draining: Callable[[], bool],
        on_beat: Callable[[], None],
    ) -> None:
        self.address = ""
        """Where the node listens, for people."""
        self._node_id = node_id
        self._store = store
        self._registry = registry
        self._wheel = wheel
        self._message_log = message_log
        self._metrics = metrics
        self._draining = draining
        self._on_beat = on_beat
        self._displacements: set[asyncio.Task[None]] = set()
        self._unwritten: dict[Connection, str] = {}
        self._unwritten_ends: set[Closed] = set()

    def opened(self, connection: Connection, remote_address: str) -> None:
        """Take a charging point's new connection; the one that it replaces is closed."""
        predecessor = self._registry.add(connection)
        if predecessor is not None:
            predecessor.close(1000, "replaced by a newer connection")
        self._message_log.note(
            connection.charging_point_id,
            Direction.NODE,
            "connected",
            payload={
                "remote_address": remote_address,
                "subprotocol": connection.conversation.version,
                "security_profile": connection.security_profile,
                "node": self.address,
            },
        )
        log.info(
            "connected",
            extra={
                "charging_point": connection.charging_point_id,
                "remote_address": remote_address,
                "ocpp_version": connection.conversation.version,
            },
        )
        self._write(connection, remote_address, time.monotonic())

    def closed(self, connection: Connection, cause: str) -> None:
        """Give up a charging point's connection that has ended."""
        log.info(
            "disconnected", extra={"charging_point": connection.charging_point_id, "cause": cause}
        )
        self._message_log.note(
            connection.charging_point_id, Direction.NODE, "disconnected", outcome=cause
        )
        self._unwritten.pop(connection, None)
        self._write_end(Closed(connection.charging_point_id, connection.connection_id))

    def displaced(self, charging_point_ids: list[str]) -> None:
        """Give up the charging points that have a newer connection on another node."""
        held = [name for name in charging_point_ids if self._registry.get(name) is not None]
        if held:
            task = asyncio.create_task(self._give_up(held), name="displaced")
            self._displacements.add(task)
            task.add_done_callback(self._displacements.discard)

    def report(self) -> None:
        """Write a heartbeat now, without waiting for it."""
        self._store.presence.report(self._heartbeat())

    async def beat(self) -> None:
        """Write heartbeats until cancelled, and what is missing in the database."""
        first = True
        while True:
            self._on_beat()
            try:
                known = await self._store.presence.beat(self._heartbeat())
            except (DatabaseAwayError, psycopg.Error) as error:
                log.warning("no heartbeat", extra={"error": str(error)[:300]})
            else:
                if not (known or first):
                    # Our row was cleared away while we were silent, and our connections with it.
                    self._unwritten = dict.fromkeys(self._registry.charging_points(), "")
                first = False
                self._write_what_is_missing()
            await asyncio.sleep(BEAT_SECONDS if self._store.healthy else _FIRST_BEATS_SECONDS)

    def _heartbeat(self) -> Heartbeat:
        return Heartbeat(
            self._node_id, self.address, os.getpid(), self._draining(), self._metrics.figures()
        )

    def _write(self, connection: Connection, remote_address: str, opened_at: float) -> None:
        def on_result(result: Exception | None) -> None:
            if isinstance(result, Exception) and connection.open:
                self._unwritten[connection] = remote_address
                log.debug("presence not written", extra={"error": str(result)[:300]})

        opened = Opened(
            connection.charging_point_id,
            connection.connection_id,
            connection.conversation.version,
            remote_address,
            opened_at,
            connection.security_profile,
        )
        self._store.presence.opened(opened, on_result)

    def _write_end(self, closed: Closed) -> None:
        def on_result(result: Exception | None) -> None:
            if isinstance(result, Exception):
                # What is still missing when the node ends goes with the node's row.
                self._unwritten_ends.add(closed)

        self._store.presence.closed(closed, on_result)

    def _write_what_is_missing(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        if unwritten:
            log.warning("writing presence again", extra={"connections": len(unwritten)})
        now = time.monotonic()
        for connection, remote_address in unwritten.items():
            if self._registry.get(connection.charging_point_id) is connection:
                # When it was opened, rather too early: a newer one elsewhere must win.
                age = self._wheel.now - connection.opened + self._wheel.lost + 1
                self._write(connection, remote_address, now - age)
        ends, self._unwritten_ends = self._unwritten_ends, set()
        for closed in ends:
            self._write_end(closed)

    async def _give_up(self, charging_point_ids: list[str]) -> None:
        """Close connections whose charging points have by now a newer one elsewhere."""
        try:
            owners = await self._store.presence.owners(charging_point_ids)
        except (DatabaseAwayError, psycopg.Error) as error:
            log.warning("displacement not looked up", extra={"error": str(error)[:300]})
            return
        for name, connection_id in owners.items():
            connection = self._registry.get(name)
            if connection is not None and connection.connection_id != connection_id:
                connection.close(1000, "replaced by a newer connection")
