"""Connects a charging point to its backend: sockets, timers and file transfers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, WebSocketException

from charging_point_simulator.backoff import Backoff
from charging_point_simulator.hello import explain
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.transfers import Transfer
from charging_point_simulator.target import Target, TargetError, open_connection

_TRANSFER_SECONDS = 60.0
_GOODBYE_SECONDS = 5.0


class ConnectError(Exception):
    """The backend cannot be reached; the message says why."""


class Runner:
    """Runs one charging point until it is cancelled.

    give_up_after: seconds of connecting in vain. on_phase: called with what it is doing.
    """

    def __init__(
        self,
        point: ChargingPoint,
        target: Target,
        *,
        give_up_after: float = 120.0,
        on_phase: Callable[[str], None] = lambda phase: None,
    ) -> None:
        self.point = point
        self.last_error = ""
        self._target = target
        self._give_up_after = give_up_after
        self._on_phase = on_phase
        self._changed = asyncio.Event()
        self._written = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._transfers: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        point.changed = self._on_change
        point.timers.on_change = self._set_timer

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true of the charging point. One waits at a time."""
        while not true():
            self._changed.clear()
            await self._changed.wait()

    async def run(self) -> None:
        """Connect, again and again. Raises ConnectError."""
        connecting = asyncio.ensure_future(self._stay_connected())
        try:
            await asyncio.wait([connecting, self._failed], return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            connecting.result()
        finally:
            connecting.cancel()
            for task in self._transfers:
                task.cancel()
            if self._timer is not None:
                self._timer.cancel()
            await asyncio.gather(connecting, *self._transfers, return_exceptions=True)
            if self._failed.done() and not self._failed.cancelled():
                self._failed.exception()

    def nudge(self) -> None:
        """Look again: something was done to the charging point from outside."""
        self._on_change()

    # Time.

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.point.timers.next_due()
        if due is not None:
            self._timer = asyncio.get_running_loop().call_later(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        try:
            self.point.timers.run_due()
        except Exception as error:  # noqa: BLE001 - raised where the charging point is run
            if not self._failed.done():
                self._failed.set_exception(error)
        self._set_timer()
        self._on_change()

    def _on_change(self) -> None:
        self._changed.set()
        self._written.set()
        while self.point.transfers:
            transfer = self.point.transfers.pop(0)
            task = asyncio.ensure_future(self._transfer(transfer))
            self._transfers.add(task)
            task.add_done_callback(self._transfers.discard)

    # The connection.

    async def _stay_connected(self) -> None:
        backoff = Backoff()
        point = self.point
        lost_at = time.monotonic()
        while True:
            while (away := point.away_until - time.monotonic()) > 0:
                self._written.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(away):
                        await self._written.wait()
                lost_at = time.monotonic()
            try:
                connection = await open_connection(
                    self._target.of(point), point.identity, point.dialect.subprotocol
                )
            except TargetError as error:
                raise ConnectError(str(error)) from error
            except (OSError, WebSocketException, TimeoutError) as error:
                self.last_error = explain(error)
                if time.monotonic() - lost_at > self._give_up_after:
                    raise ConnectError(f"gave up connecting: {self.last_error}") from error
                self._on_phase(f"connecting ({self.last_error})")
                await asyncio.sleep(backoff.next())
                continue
            point.report.connections += 1
            await self._speak(connection)
            close = connection.protocol.close_rcvd
            point.report.closes[str(close.code) if close else "cut"] += 1
            if point.calls.accepted:
                backoff.reset()
                lost_at = time.monotonic()
            elif time.monotonic() - lost_at > self._give_up_after:
                raise ConnectError(f"gave up: {point.refusal or 'the boot was not accepted'}")
            point.report.reconnects += 1
            self._on_phase("offline")
            if point.away_until <= time.monotonic():
                await asyncio.sleep(backoff.next())

    async def _speak(self, connection: ClientConnection) -> None:
        """Exchange messages on one connection until it ends."""
        point = self.point
        reading = asyncio.ensure_future(self._read(connection))
        self._on_phase("booting")
        try:
            point.on_connected()
            while not reading.done():
                self._written.clear()
                while point.calls.outgoing:
                    await connection.send(point.calls.outgoing.popleft())
                if point.calls.broken:
                    break
                waiting = asyncio.ensure_future(self._written.wait())
                await asyncio.wait([reading, waiting], return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
            if reading.done() and not reading.cancelled():
                reading.result()
        except ConnectionClosed:
            pass
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            point.on_disconnected()
            if point.abrupt:
                connection.transport.abort()
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_GOODBYE_SECONDS):
                        await connection.close()

    async def _read(self, connection: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for text in connection:
                self.point.receive(text if isinstance(text, str) else text.decode(errors="replace"))

    # Files.

    async def _transfer(self, transfer: Transfer) -> None:
        result: bytes | None = None
        try:
            verify = self._target.verify()
            async with httpx.AsyncClient(
                timeout=_TRANSFER_SECONDS, verify=verify, trust_env=False
            ) as client:
                if transfer.content is None:
                    answer = await client.get(transfer.url)
                else:
                    answer = await client.put(transfer.url, content=transfer.content)
            if answer.is_success:
                result = answer.content if transfer.content is None else b""
            else:
                self.last_error = f"{transfer.url}: HTTP {answer.status_code}"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self.last_error = f"{transfer.url}: {error}"
        transfer.done(result)
        self._on_change()
