"""A node: one process, one event loop, and everything in it put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from charging.database.messages import Direction
from charging.service.telemetry import write_document
from cp_backend.committer import DatabaseAwayError
from cp_backend.connection import Connection, Conversation, Engine
from cp_backend.context import Context
from cp_backend.conversation.hello import SUBPROTOCOL as HELLO
from cp_backend.conversation.hello import HelloConversation
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.dispatcher import Dispatcher
from cp_backend.drain import drain
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.keepalive import TimerWheel
from cp_backend.listener import Accepted, Listener
from cp_backend.message_log import MessageLog
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.poller import Poller
from cp_backend.port_sharing import SharedPort, should_listen
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store import Admitted, NodeBeat, Presence, Store, beat
from cp_backend.telemetry import Metrics
from cp_backend.tls import TlsListener

BEAT_SECONDS = 5
# Ctrl-C on a terminal: nobody wants to watch a drain that is paced for a load balancer.
QUICK_DRAIN_SECONDS = 1.0
_GC_THRESHOLD = 50_000

log = logging.getLogger(__name__)


class Node:
    """Holds charging points' connections until it is told to stop.

    orphaned: says whether the program that started this node is gone. port: where other nodes
    listen on the same one.
    """

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        *,
        orphaned: Callable[[], bool] = lambda: False,
        port: SharedPort | None = None,
    ) -> None:
        self.settings = settings
        self.node_id = uuid4()
        self.metrics = Metrics()
        self.registry = Registry()
        self.wheel = TimerWheel()
        self.poller = Poller(asyncio.get_running_loop())
        self.engine = Engine(self.poller, self.wheel, settings, self._on_closed)
        self.store = Store(database_url, self.node_id, settings, self.metrics)
        self.hub = HubAuthorization(self.store, settings)
        self.message_log = MessageLog(database_url, self.metrics)
        self.context = Context(self.store, self.hub, self.message_log, settings, self.metrics)
        self.listener = Listener(
            settings=settings,
            engine=self.engine,
            store=self.store,
            registry=self.registry,
            metrics=self.metrics,
            subprotocols=self._subprotocols,
            make_conversation=self._make_conversation,
            ready=lambda: self.ready,
        )
        self.dispatcher = Dispatcher(
            database_url,
            self.node_id,
            self.store,
            self.registry,
            self.metrics,
            self._on_displaced,
            self.hub.on_notification,
        )
        versions = settings.spoken_versions()
        self._dialects = {DIALECTS[version].subprotocol: DIALECTS[version] for version in versions}
        self._orphaned = orphaned
        self._port = port
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._drain_seconds = settings.drain_time
        self._address = ""
        self._displacements: set[asyncio.Task[None]] = set()
        self._presence_stale = False
        self._unwritten_ends: set[tuple[str, int]] = set()

    @property
    def ready(self) -> bool:
        """Whether new charging points should be sent here."""
        return self.store.healthy and not self._stop.is_set()

    def stop(self, drain_seconds: float) -> None:
        """Begin to stop; said a second time, stop without further ado."""
        if self._stop.is_set():
            self._stop_now.set()
        self._drain_seconds = drain_seconds
        self._stop.set()

    async def run(self, sock: socket.socket) -> None:
        """Serve on a bound socket until stopped, then drain."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        host, port = sock.getsockname()[:2]
        self._address = f"{host}:{port}"
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop, self.settings.drain_time)
        loop.add_signal_handler(
            signal.SIGINT, self.stop, min(QUICK_DRAIN_SECONDS, self.settings.drain_time)
        )
        lanes = [
            asyncio.create_task(self.store.lookups.run(), name="lookups"),
            asyncio.create_task(self.store.facts.run(), name="facts"),
        ]
        errands = [
            asyncio.create_task(self.dispatcher.listen(), name="listen"),
            asyncio.create_task(self.dispatcher.deliver(), name="deliver"),
            asyncio.create_task(self.hub.run(), name="hub"),
            asyncio.create_task(self.message_log.run(), name="message log"),
            asyncio.create_task(self._beat(), name="beat"),
            asyncio.create_task(self._tick(), name="tick"),
            asyncio.create_task(self._measure(), name="measure"),
        ]
        tls = TlsListener(self.settings, self.listener) if self.settings.tls_certificate else None
        if tls is None:
            self.listener.listen(sock)
        else:
            await tls.listen(sock)
        log.info(
            "listening",
            extra={
                "node": str(self.node_id),
                "address": self._address,
                "connection_limit": self.listener.connection_limit,
                "tls": tls is not None,
            },
        )
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait([stopping, *lanes, *errands], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in (*lanes, *errands) if task.done()]
        if tls is not None:
            tls.stop()
        await self._shut_down(lanes, errands)
        stopping.cancel()
        for task in failed:
            task.result()  # an errand never ends by itself: this raises what ended it

    async def _shut_down(
        self, lanes: list[asyncio.Task[None]], errands: list[asyncio.Task[None]]
    ) -> None:
        self._stop.set()
        # A refused health check says as well as a 503 that we are not ready, and on a port that
        # several nodes share the others go on answering.
        self.listener.stop()
        draining = asyncio.create_task(
            drain(self.registry, self._drain_seconds, self.settings.close_timeout)
        )
        self._report_soon()
        again = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait([draining, again], return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not draining.done():
            draining.cancel()
            for connection in self.registry:
                connection.abort("stopped")
        for errand in errands:
            errand.cancel()
        await asyncio.gather(*errands, draining, again, return_exceptions=True)
        with suppress(DatabaseAwayError, TimeoutError, psycopg.Error):
            async with asyncio.timeout(self.settings.close_timeout):
                await self.store.facts.flushed()
                await self.store.leave()
        for lane in lanes:
            lane.cancel()
        await asyncio.gather(*lanes, return_exceptions=True)
        write_document(self.metrics.document(self._dimensions()))
        self.poller.stop()
        log.info("stopped", extra={"node": str(self.node_id)})

    def _dimensions(self) -> dict[str, str]:
        return {"Environment": self.settings.environment, "Service": "charging-point-backend"}

    # Connections come and go.

    def _subprotocols(self, admitted: Admitted) -> list[str]:
        return [*self._dialects, HELLO]

    def _make_conversation(self, accepted: Accepted) -> Conversation | None:
        connection = accepted.connection
        dialect = self._dialects.get(accepted.subprotocol or "")
        if dialect is None:
            self.registry.add_guest(connection)
            return HelloConversation(connection) if accepted.subprotocol == HELLO else None
        predecessor = self.registry.add(connection)
        if predecessor is not None:
            predecessor.close(1000, "replaced by a newer connection")
        self.message_log.note(
            connection.charging_point_id,
            Direction.NODE,
            "connected",
            payload={
                "remote_address": accepted.remote_address,
                "subprotocol": dialect.subprotocol,
                "node": self._address,
            },
        )
        log.info(
            "connected",
            extra={
                "charging_point": connection.charging_point_id,
                "remote_address": accepted.remote_address,
                "ocpp_version": dialect.subprotocol,
            },
        )
        self.store.connected(
            Presence(
                connection.charging_point_id,
                connection.connection_id,
                dialect.subprotocol,
                accepted.remote_address,
                datetime.now(UTC),
            ),
            self._on_presence_written,
        )
        return OcppConversation(connection, self.context, dialect, accepted.admitted.boot_status)

    def _on_presence_written(self, result: object) -> None:
        if isinstance(result, Exception):
            # The next beat that succeeds writes all presence anew.
            self._presence_stale = True
            log.debug("presence not written", extra={"error": str(result)[:300]})

    def _on_closed(self, connection: Connection, cause: str) -> None:
        guest = not self.registry.remove(connection)
        self.metrics.count("ConnectionsClosed", cause)
        if guest:
            return
        log.info(
            "disconnected", extra={"charging_point": connection.charging_point_id, "cause": cause}
        )
        self.message_log.note(
            connection.charging_point_id, Direction.NODE, "disconnected", outcome=cause
        )
        self._write_end(connection.charging_point_id, connection.connection_id)

    def _write_end(self, charging_point_id: str, connection_id: int) -> None:
        def told(result: object) -> None:
            if isinstance(result, Exception):
                # What is still missing when the node ends goes with the node's row.
                self._unwritten_ends.add((charging_point_id, connection_id))

        self.store.disconnected(charging_point_id, connection_id, told)

    def _on_displaced(self, charging_point_ids: list[str]) -> None:
        mine = [name for name in charging_point_ids if self.registry.get(name) is not None]
        if mine:
            task = asyncio.create_task(self._give_up(mine), name="displaced")
            self._displacements.add(task)
            task.add_done_callback(self._displacements.discard)

    async def _give_up(self, charging_point_ids: list[str]) -> None:
        """Close connections whose charging points have by now a newer one elsewhere."""
        try:
            owners = await self.store.owners(charging_point_ids)
        except (DatabaseAwayError, psycopg.Error) as error:
            log.warning("displacement not looked up", extra={"error": str(error)[:300]})
            return
        for name, connection_id in owners.items():
            connection = self.registry.get(name)
            if connection is not None and connection.connection_id != connection_id:
                connection.close(1000, "replaced by a newer connection")

    # Errands.

    def _report_soon(self) -> None:
        self.store.facts.submit(beat, self._node_beat(), lambda _: None, urgent=True)

    def _node_beat(self) -> NodeBeat:
        return NodeBeat(
            self.node_id,
            self._address,
            os.getpid(),
            self._stop.is_set(),
            self.metrics.figures(),
        )

    async def _beat(self) -> None:
        first = True
        while True:
            if self._orphaned():
                log.error("the program that started this node is gone; stopping")
                self.stop(self.settings.drain_time)
            try:
                known = await self.store.beat(self._node_beat())
            except (DatabaseAwayError, psycopg.Error) as error:
                log.warning("no heartbeat", extra={"error": str(error)[:300]})
            else:
                if self._presence_stale or not (known or first):
                    self._write_presence_anew()
                first = False
                ends, self._unwritten_ends = self._unwritten_ends, set()
                for end in ends:
                    self._write_end(*end)
            # Until the database is there, ask often: a load balancer waits for us.
            await asyncio.sleep(BEAT_SECONDS if self.store.healthy else 0.5)

    def _write_presence_anew(self) -> None:
        """Take all charging points again: rows are missing, since the database was away or the
        node's own row was cleared away while it was silent.
        """
        self._presence_stale = False
        log.warning("writing presence anew", extra={"connections": len(self.registry)})
        now = datetime.now(UTC)
        for connection in self.registry.charging_points():
            self.store.connected(
                Presence(
                    connection.charging_point_id,
                    connection.connection_id,
                    connection.conversation.version,
                    "",
                    # When it was opened, rather too early: a newer one elsewhere must win.
                    now - timedelta(seconds=self.wheel.now - connection.opened + 1),
                ),
                self._on_presence_written,
            )

    async def _tick(self) -> None:
        """Turn the timer wheel each second; what a turn comes late is the loop's lag."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1
            await asyncio.sleep(max(0, due - loop.time()))
            lag = loop.time() - due
            self.metrics.sample("EventLoopLag", lag * 1000)
            self.wheel.tick()
            self._share_port()
            self.metrics.gauges["Connections"] = len(self.registry)
            self.metrics.gauges["HandshakesInFlight"] = self.listener.handshakes
            self.metrics.gauges["LaneDepth"] = self.store.depth

    def _share_port(self) -> None:
        """Leave newcomers to the siblings while this node is full and one of them is not."""
        if self._port is None or self.settings.tls_certificate:
            return
        siblings, place, listener = self._port.siblings, self._port.place, self.listener
        if self._stop.is_set():
            siblings.tell(place, 0)
            return
        limit = listener.connection_limit
        siblings.tell(place, limit - len(self.registry) - listener.handshakes)
        wanted = should_listen(
            listening=listener.listening,
            connections=len(self.registry),
            limit=limit,
            others_have_room=siblings.others_have_room(place, max(1, limit // 50)),
        )
        if wanted and not listener.listening:
            listener.listen(self._port.bind())
        elif listener.listening and not wanted:
            listener.stop()

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(self.settings.metrics_interval)
            with contextlib.suppress(DatabaseAwayError, psycopg.Error):
                self.metrics.gauges["SessionsInProgress"] = await self.store.sessions_in_progress()
            write_document(self.metrics.document(self._dimensions()))
