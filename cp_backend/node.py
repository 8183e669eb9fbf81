"""A node: one process, one event loop, and everything in it put together."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from uuid import uuid4

import psycopg

from charging.database.address import state_directory
from charging.service.file_store import file_store
from charging.service.telemetry import write_document
from cp_backend.committer import DatabaseAwayError
from cp_backend.connection import Connection, Conversation, Engine
from cp_backend.context import Context
from cp_backend.conversation.hello import SUBPROTOCOL as HELLO
from cp_backend.conversation.hello import HelloConversation
from cp_backend.conversation.ocpp import OcppConversation
from cp_backend.dispatcher import Dispatcher
from cp_backend.drain import drain
from cp_backend.file_transfers import FileTransfers
from cp_backend.handshake import Accepted, Handshakes
from cp_backend.hub_authorization import HubAuthorization
from cp_backend.keepalive import TimerWheel
from cp_backend.lasting import Lasting
from cp_backend.listener import Listener
from cp_backend.message_log import MessageLog
from cp_backend.ocpp.dialect import DIALECTS
from cp_backend.ocpp.frames import MAX_FRAME_BYTES
from cp_backend.ocpp.repair import Repair, RepairKind
from cp_backend.ocpp.tolerance import tolerance_of
from cp_backend.poller import Poller
from cp_backend.port_sharing import SharedPort, should_listen
from cp_backend.presence import Presence
from cp_backend.refused_handshakes import RefusedHandshakes
from cp_backend.registry import Registry
from cp_backend.settings import Settings
from cp_backend.store.admission import Admitted
from cp_backend.store.store import Store
from cp_backend.target import target_from, watch
from cp_backend.telemetry import Metrics
from cp_backend.tls import TlsListener

# Ctrl-C on a terminal: nobody wants to watch a drain that is paced for a load balancer.
QUICK_DRAIN_SECONDS = 1.0
_GC_THRESHOLD = 50_000
# A turn of the wheel that comes later than this: the machine or the process stood still.
_PAUSE_SECONDS = 3.0

log = logging.getLogger(__name__)


class Node:
    """Holds charging points' connections until it is stopped.

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
        self.lasting = Lasting(self.metrics)
        self.registry = Registry()
        self.wheel = TimerWheel()
        self._dialects = [DIALECTS[version] for version in settings.spoken_versions()]
        kinds = sorted({kind for dialect in self._dialects for kind in dialect.outgoing})
        self.store = Store(database_url, self.node_id, settings, self.metrics, kinds)
        self.hub = HubAuthorization(self.store.hub_questions, settings)
        self.message_log = MessageLog(database_url, self.metrics)
        self.context = Context(self.store, self.hub, self.message_log, settings, self.metrics)
        self.presence = Presence(
            self.node_id,
            self.store,
            self.registry,
            self.wheel,
            self.message_log,
            self.metrics,
            draining=lambda: self.draining,
            on_beat=self._look_for_parent,
        )
        self.refused = RefusedHandshakes(self.store.lookups)
        self.poller = Poller(asyncio.get_running_loop())
        self.files = FileTransfers(
            self.store.files,
            file_store(state_directory() / "files"),
            asyncio.get_running_loop(),
            self.metrics,
            settings.max_files,
        )
        self.handshakes = self._make_handshakes()
        self.listener = Listener(self.handshakes)
        self.dispatcher = Dispatcher(
            database_url,
            self.node_id,
            self.store.commands,
            self.registry,
            self.metrics,
            self.presence.displaced,
            self.hub.on_notification,
            self._files_url,
        )
        self._orphaned = orphaned
        self._port = port
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._drain_seconds = settings.drain_time
        self._target_drain: asyncio.Task[int] | None = None

    def _make_handshakes(self) -> Handshakes:
        return Handshakes(
            settings=self.settings,
            engine=Engine(self.poller, self.wheel, self.settings, MAX_FRAME_BYTES, self._on_closed),
            store=self.store,
            registry=self.registry,
            metrics=self.metrics,
            subprotocols=self._subprotocols,
            make_conversation=self._make_conversation,
            ready=lambda: self.ready,
            compressed=[*(d.subprotocol for d in self._dialects if d.compressed), HELLO],
            draining=lambda: self.draining,
            files=self.files,
            refused=self.refused,
        )

    @property
    def draining(self) -> bool:
        """Whether this node sends its charging points away: it stops, or its target is drained."""
        return self._stop.is_set() or self._target_drain is not None

    @property
    def ready(self) -> bool:
        """Whether new charging points should be sent here."""
        # The log of messages is waited for at the start only: later it is no reason to be away.
        return (
            self.store.healthy
            and self.lasting.healthy
            and self.message_log.begun
            and not self.draining
        )

    def on_target_draining(self, draining: bool) -> None:
        """Close all connections within the deregistration delay, or take new ones again."""
        if draining and not self.draining:
            self._target_drain = asyncio.create_task(
                drain(self.registry, self.settings.drain_time, self.settings.close_timeout),
                name="drain of the target",
            )
        elif not draining and self._target_drain is not None:
            self._target_drain.cancel()
            self._target_drain = None
        self.presence.report()

    def stop(self, drain_seconds: float) -> None:
        """Begin to stop; a second call stops at once, without draining."""
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
        self.presence.address = f"{host}:{port}"
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop, self.settings.drain_time)
        loop.add_signal_handler(
            signal.SIGINT, self.stop, min(QUICK_DRAIN_SECONDS, self.settings.drain_time)
        )
        committers = [
            self.lasting.begin("lookups", self.store.lookups.run),
            self.lasting.begin("facts", self.store.facts.run),
        ]
        begin = self.lasting.begin
        tasks = [
            begin("listen", self.dispatcher.listen),
            begin("dispatch", self.dispatcher.dispatch),
            begin("hub", self.hub.run),
            begin("message log", self.message_log.run),
            begin("deviations", self.context.deviations.run),
            begin("refused tokens", self.context.refused_tokens.run),
            begin("refused handshakes", self.refused.run),
            begin("beat", self.presence.beat),
            begin("sample forms", self.store.sample_forms.run),
            begin("lost stops", self.store.presumed_ends.run),
            begin("tick", self._tick),
            begin("measure", self._measure),
        ]
        if (target := target_from(port=port)) is not None:
            tasks.append(begin("target", partial(watch, target, self.on_target_draining)))
        tls = (
            TlsListener(self.settings, self.listener, self.refused)
            if self.settings.tls_certificate
            else None
        )
        if tls is None:
            self.listener.listen(sock)
        else:
            await tls.listen(sock)
        log.info(
            "listening",
            extra={
                "node": str(self.node_id),
                "address": self.presence.address,
                "connection_limit": self.handshakes.connection_limit,
                "tls": tls is not None,
            },
        )
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait([stopping, *committers, *tasks], return_when=asyncio.FIRST_COMPLETED)
        failed = [task for task in (*committers, *tasks) if task.done()]
        if tls is not None:
            tls.stop()
        await self._shut_down(committers, tasks)
        stopping.cancel()
        for task in failed:
            task.result()  # an task never ends by itself: this raises what ended it

    async def _shut_down(
        self, committers: list[asyncio.Task[None]], tasks: list[asyncio.Task[None]]
    ) -> None:
        self._stop.set()
        self.files.stop()
        # A refused health check says as well as a 503 that we are not ready, and on a port that
        # several nodes share the others go on answering.
        self.listener.stop()
        if self._target_drain is not None:
            self._target_drain.cancel()
            await asyncio.gather(self._target_drain, return_exceptions=True)
        draining = asyncio.create_task(
            drain(self.registry, self._drain_seconds, self.settings.close_timeout)
        )
        self.presence.report()
        again = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait([draining, again], return_when=asyncio.FIRST_COMPLETED)
        again.cancel()
        if not draining.done():
            draining.cancel()
            for connection in self.registry:
                connection.abort("stopped")
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, draining, again, return_exceptions=True)
        with suppress(DatabaseAwayError, TimeoutError, psycopg.Error):
            async with asyncio.timeout(self.settings.close_timeout):
                await self.store.facts.flushed()
                await self.store.presence.leave()
        for committer in committers:
            committer.cancel()
        await asyncio.gather(*committers, return_exceptions=True)
        write_document(self.metrics.document(self._dimensions()))
        self.poller.stop()
        log.info("stopped", extra={"node": str(self.node_id)})

    def _dimensions(self) -> dict[str, str]:
        return {"Environment": self.settings.environment, "Service": "charging-point-backend"}

    # Connections.

    def _subprotocols(self, admitted: Admitted) -> list[str]:
        """Return what may be spoken with a charging point: of our versions those of its row."""
        allowed = admitted.ocpp_versions
        return [
            *(d.subprotocol for d in self._dialects if allowed is None or d.version in allowed),
            HELLO,
        ]

    def _make_conversation(self, accepted: Accepted) -> Conversation | None:
        connection = accepted.connection
        if accepted.subprotocol == HELLO:
            connection.conversation = HelloConversation(connection)
            self._add_guest(connection)
            return connection.conversation
        for dialect in self._dialects:
            if dialect.subprotocol == accepted.subprotocol:
                admitted = accepted.admitted
                conversation = OcppConversation(
                    connection,
                    self.context,
                    dialect,
                    admitted.boot_status,
                    tolerance_of(admitted.strict, admitted.time_zone),
                )
                connection.conversation = conversation
                if accepted.odd:
                    self.context.deviations.note(
                        connection.charging_point_id,
                        "handshake",
                        [Repair("handshake", name, RepairKind.HEADER, "") for name in accepted.odd],
                    )
                self.presence.opened(connection, accepted.remote_address)
                return conversation
        self._add_guest(connection)
        return None

    def _add_guest(self, connection: Connection) -> None:
        one_too_many = self.registry.add_guest(connection)
        if one_too_many is not None:
            one_too_many.close(1000, "replaced by newer connections")

    def _on_closed(self, connection: Connection, cause: str) -> None:
        guest = not self.registry.remove(connection)
        self.metrics.count("ConnectionsClosed", cause)
        if not guest:
            self.presence.closed(connection, cause)

    # Long-lived tasks.

    def _files_url(self) -> str:
        own = f"http{'s' if self.settings.tls_certificate else ''}://{self.presence.address}"
        return self.settings.files_url or own

    def _look_for_parent(self) -> None:
        if self._orphaned() and not self._stop.is_set():
            log.error("the program that started this node is gone; stopping")
            self.stop(self.settings.drain_time)

    async def _tick(self) -> None:
        """Turn the timer wheel each second; what a turn comes late is the loop's lag.

        Seconds in which the process was stopped are not made up for: nothing was read in them, so
        nobody was silent in them.
        """
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += 1
            await asyncio.sleep(max(0, due - loop.time()))
            lag = loop.time() - due
            self.metrics.sample("EventLoopLag", lag * 1000)
            if lag > _PAUSE_SECONDS:
                log.warning("paused", extra={"seconds": round(lag, 1)})
                self.wheel.lost += int(lag)
                due += int(lag)
            self.context.log_limit.turn(loop.time())
            self.wheel.tick()
            try:
                self._share_port()
            except OSError as error:  # no file left for the socket, for example
                log.warning("port not shared", extra={"error": str(error)})
            self.metrics.gauges["Connections"] = len(self.registry)
            self.metrics.gauges["HandshakesInFlight"] = self.handshakes.under_way
            self.metrics.gauges["LaneDepth"] = self.store.depth

    def _share_port(self) -> None:
        """Leave new connections to other nodes while this one is full and one of them is not."""
        if self._port is None or self.settings.tls_certificate:
            return
        rooms, place, listener = self._port.rooms, self._port.place, self.listener
        if self.draining:
            rooms.publish(place, 0)
            return
        limit = self.handshakes.connection_limit
        rooms.publish(place, limit - len(self.registry) - self.handshakes.under_way)
        wanted = should_listen(
            listening=listener.listening,
            connections=len(self.registry),
            limit=limit,
            others_have_room=rooms.others_have_room(place, max(1, limit // 50)),
        )
        if wanted and not listener.listening:
            listener.listen(self._port.bind())
        elif listener.listening and not wanted:
            listener.stop()

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(self.settings.metrics_interval)
            with contextlib.suppress(DatabaseAwayError, psycopg.Error):
                self.metrics.gauges["SessionsInProgress"] = await self.store.sessions.in_progress()
            write_document(self.metrics.document(self._dimensions()))
