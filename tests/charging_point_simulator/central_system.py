"""A central system of the PyPI package `ocpp`, which knows nothing of ours, in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from datetime import UTC, datetime

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from websockets.asyncio.server import basic_auth


class Peer(ChargePoint):
    """One charging point, as `ocpp` sees it; notes what comes in."""

    def __init__(self, identity, connection, central):
        super().__init__(identity, connection)
        self.central = central

    def note(self, action, **payload):
        self.central.received.put((action, payload))

    @on("BootNotification")
    def on_boot(self, **payload):
        self.note("BootNotification", **payload)
        return call_result.BootNotification(
            current_time=datetime.now(UTC).isoformat(), interval=300, status="Accepted"
        )

    @on("Authorize")
    def on_authorize(self, **payload):
        self.note("Authorize", **payload)
        status = "Accepted" if payload["id_tag"] in self.central.tokens else "Invalid"
        return call_result.Authorize(id_tag_info={"status": status})

    @on("StartTransaction")
    def on_start(self, **payload):
        self.note("StartTransaction", **payload)
        self.central.transactions += 1
        return call_result.StartTransaction(
            transaction_id=self.central.transactions, id_tag_info={"status": "Accepted"}
        )

    @on("Heartbeat")
    def on_heartbeat(self, **payload):
        self.note("Heartbeat", **payload)
        return call_result.Heartbeat(current_time=datetime.now(UTC).isoformat())

    @on("SignCertificate")
    def on_sign(self, **payload):
        self.note("SignCertificate", **payload)
        return call_result.SignCertificate(status="Accepted")

    @on("DataTransfer")
    def on_data(self, **payload):
        return call_result.DataTransfer(status="UnknownVendorId")


def _notice(action):
    def handle(self, **payload):
        self.note(action, **payload)
        return getattr(call_result, action)()

    handle.__name__ = f"on_{action}"  # where `ocpp` looks for it
    return on(action)(handle)


for _name in (
    *("StatusNotification", "MeterValues", "StopTransaction", "FirmwareStatusNotification"),
    *("DiagnosticsStatusNotification", "LogStatusNotification", "SecurityEventNotification"),
    "SignedFirmwareStatusNotification",
):
    setattr(Peer, f"on_{_name}", _notice(_name))


class CentralSystem:
    """Context manager: a server on a free port. tls: an SSL context. password: for Basic."""

    def __init__(self, tls=None, password=None):
        self.received = queue.Queue()
        self.connected = queue.Queue()
        self.tokens = {"CARD"}
        self.transactions = 0
        self.port = 0
        self.password = password
        self.peer = None
        self.tls = tls
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        assert self._started.wait(20)
        return self

    def __exit__(self, *error):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def call(self, action, **payload):
        """Call the charging point that connected last; return its answer."""
        request = getattr(call, action)(**payload)
        asked = asyncio.run_coroutine_threadsafe(
            self.peer.call(request, suppress=False), self._loop
        )
        return asked.result(20)

    def expect(self, action, seconds=20, **members):
        """The next such message; those before it are passed over."""
        while True:
            received, payload = self.received.get(timeout=seconds)
            if received == action and members.items() <= payload.items():
                return payload

    def wait_for_connection(self):
        return self.connected.get(timeout=20)

    def _check(self, user, password):
        return self.password is None or password == self.password

    async def _talk(self, connection):
        peer = Peer(connection.request.path.strip("/"), connection, self)
        self.peer = peer
        self.connected.put(connection)
        with contextlib.suppress(websockets.exceptions.ConnectionClosed):
            await peer.start()

    def _run(self):
        async def serve():
            self._stop = asyncio.Event()
            process = None
            if self.password is not None:
                process = basic_auth(check_credentials=self._check_async)
            async with websockets.serve(
                self._talk,
                "127.0.0.1",
                0,
                subprotocols=["ocpp1.6"],
                ssl=self.tls,
                process_request=process,
            ) as server:
                self.port = server.sockets[0].getsockname()[1]
                self._started.set()
                await self._stop.wait()

        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(serve())
        self._loop.close()

    async def _check_async(self, user, password):
        return self._check(user, password)
