"""One OCPP 1.6 charging point: boots, charges, and survives losing its backend.

What concerns money (start, meter values, stop) goes through a journal: in order, one at a time,
the same again until it is answered, over however many connections that takes. Sessions go on
while the charging point is offline; the journal catches up afterwards.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from websockets.exceptions import WebSocketException

from charging_point_simulator.backoff import Backoff
from charging_point_simulator.curve import VOLTAGE_V, Car, any_car
from charging_point_simulator.hello import explain
from charging_point_simulator.report import Report, SessionRecord
from charging_point_simulator.scenario import Scenario
from charging_point_simulator.target import Target, TargetError, open_connection
from charging_point_simulator.wire import (
    CallRefusedError,
    DisconnectedError,
    Link,
    NotImplementedActionError,
)

SUBPROTOCOL = "ocpp1.6"
_RETRY_REFUSED_SECONDS = 1.0
_JOURNAL_LIMIT = 10_000


class ChargerError(Exception):
    """The charging point cannot do what its scenario asks."""


@dataclass
class Entry:
    """A message that must not be lost. The transaction id is put in when it is sent."""

    action: str
    payload: dict[str, Any]
    record: SessionRecord


@dataclass
class RemoteStart:
    """A remote start that was accepted and waits to be carried out."""

    connector: int
    id_tag: str


@dataclass
class Reservation:
    """A connector that is kept for a token."""

    reservation_id: int
    connector: int
    id_tag: str


class Charger:
    """A simulated charging point.

    changed: called whenever `phase` or the report changed, for a display.
    """

    def __init__(
        self,
        identity: str,
        target: Target,
        scenario: Scenario,
        report: Report,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.identity = identity
        self.phase = "waiting"
        self._target = target
        self._scenario = scenario
        self._report = report
        self._changed = changed
        # Not hash(): it differs from run to run, and a seed is there to repeat a run.
        self._chance = random.Random(  # noqa: S311 - plausibility, no secret
            None if scenario.seed is None else f"{scenario.seed}/{identity}"
        )
        self._meter_wh = float(self._chance.randrange(0, 5_000_000))
        self._journal: deque[Entry] = deque()
        self._written = asyncio.Event()
        self._emptied = asyncio.Event()
        self._emptied.set()
        self._online = asyncio.Event()
        self._booted = False
        self._link: Link | None = None
        self._statuses = {0: "Available"} | dict.fromkeys(
            range(1, scenario.connectors + 1), scenario.status
        )
        self._reservation: Reservation | None = None
        self._remote_starts: asyncio.Queue[RemoteStart] = asyncio.Queue(maxsize=4)
        self._stop_asked: set[int] = set()
        self._stop_wanted = asyncio.Event()
        self._heartbeat_interval = 300.0
        self._offline_until = 0.0
        self._later: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Do the scenario; what fails is in the report, nothing is raised."""
        connecting = asyncio.create_task(self._stay_connected())
        charging = asyncio.create_task(self._charge_all())
        try:
            done, _ = await asyncio.wait(
                [connecting, charging], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                await task
            self._show("done")
        except (ChargerError, CallRefusedError) as error:
            self._fail(str(error))
        finally:
            for task in (connecting, charging, *self._later):
                task.cancel()
            await asyncio.gather(connecting, charging, *self._later, return_exceptions=True)
            if self._link is not None:
                await self._link.close()

    # The connection.

    async def _stay_connected(self) -> None:
        backoff = Backoff()
        loop = asyncio.get_running_loop()
        lost_at = loop.time()
        while True:
            await asyncio.sleep(max(0.0, self._offline_until - loop.time()))
            try:
                connection = await open_connection(self._target, self.identity, SUBPROTOCOL)
            except TargetError as error:
                raise ChargerError(str(error)) from error
            except (OSError, WebSocketException, TimeoutError) as error:
                if loop.time() - lost_at > self._scenario.give_up_after:
                    raise ChargerError(f"gave up connecting: {explain(error)}") from error
                self._show("connecting")
                await asyncio.sleep(backoff.next())
                continue
            self._report.connections += 1
            self._link = link = Link(connection, self._on_call, self._report.latency)
            try:
                await self._live(link)
                backoff.reset()
            except (DisconnectedError, CallRefusedError) as error:
                # Refused greetings are tried again too: the backend may be without its database.
                self._show(f"lost: {type(error).__name__}")
            finally:
                self._online.clear()
                self._link = None
                await link.close()
            lost_at = loop.time()
            self._report.reconnects += 1
            self._show("offline")
            await asyncio.sleep(backoff.next())

    async def _live(self, link: Link) -> None:
        """Speak on one connection until it ends."""
        listening = asyncio.create_task(link.listen())
        errands: list[asyncio.Task[None]] = []
        try:
            greeting = asyncio.create_task(self._greet(link))
            errands.append(greeting)
            await asyncio.wait([listening, greeting], return_when=asyncio.FIRST_COMPLETED)
            if not greeting.done():
                return
            await greeting
            self._online.set()
            errands += [
                asyncio.create_task(self._deliver(link)),
                asyncio.create_task(self._beat(link)),
            ]
            done, _ = await asyncio.wait(
                [listening, *errands[1:]], return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                await task
        finally:
            for task in (listening, *errands):
                task.cancel()
            await asyncio.gather(listening, *errands, return_exceptions=True)

    async def _greet(self, link: Link) -> None:
        if not self._booted:
            await self._boot(link)
        for connector in self._statuses:
            await self._send_status(link, connector)

    async def _boot(self, link: Link) -> None:
        """Boot until accepted. Source: OCPP 1.6 section 4.2."""
        self._show("booting")
        while True:
            answer = await link.call(
                "BootNotification",
                {
                    "chargePointVendor": "Venerable Inertia",
                    "chargePointModel": "Simulator",
                    "chargePointSerialNumber": self.identity[:25],
                    "firmwareVersion": "1.0",
                },
            )
            self._heartbeat_interval = max(1.0, float(answer["interval"]))
            if answer["status"] == "Accepted":
                self._booted = True
                return
            self._show(answer["status"].lower())
            if self._heartbeat_interval > self._scenario.give_up_after:
                raise ChargerError(f"boot answered {answer['status']}")
            await asyncio.sleep(self._heartbeat_interval)

    async def _beat(self, link: Link) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_interval * self._chance.uniform(0.9, 1))
            await link.call("Heartbeat", {})

    async def _deliver(self, link: Link) -> None:
        """Send the journal, oldest first; an entry leaves it only when answered."""
        while True:
            await self._written.wait()
            while self._journal:
                entry = self._journal[0]
                try:
                    answer = await link.call(entry.action, self._payload(entry))
                except CallRefusedError:
                    # OCPP 1.6 section 3.7: try again; the central system may recover.
                    await asyncio.sleep(_RETRY_REFUSED_SECONDS)
                    continue
                self._journal.popleft()
                self._acknowledged(entry, answer)
            self._written.clear()
            self._emptied.set()

    def _payload(self, entry: Entry) -> dict[str, Any]:
        if entry.action == "StartTransaction":
            return entry.payload
        return {**entry.payload, "transactionId": entry.record.transaction_id}

    def _acknowledged(self, entry: Entry, answer: dict[str, Any]) -> None:
        match entry.action:
            case "StartTransaction":
                entry.record.start_acknowledged = True
                entry.record.transaction_id = answer["transactionId"]
                if (
                    answer["idTagInfo"]["status"] != "Accepted"
                    or entry.record.transaction_id in self._stop_asked
                ):
                    self._stop_wanted.set()
            case "StopTransaction":
                entry.record.stop_acknowledged = True
            case "MeterValues":
                entry.record.meter_values_acknowledged += 1
        self._changed()

    def _write(self, action: str, payload: dict[str, Any], record: SessionRecord) -> None:
        if len(self._journal) >= _JOURNAL_LIMIT:
            raise ChargerError("was offline for longer than its memory lasts")
        self._journal.append(Entry(action, payload, record))
        self._emptied.clear()
        self._written.set()

    # Charging.

    async def _charge_all(self) -> None:
        # Cars do not come all at the same moment.
        await self._online.wait()
        await asyncio.sleep(self._chance.uniform(0, min(1.0, self._scenario.pause or 1.0)))
        for number in range(self._scenario.sessions):
            if number:
                await asyncio.sleep(self._scenario.pause)
            connector = number % self._scenario.connectors + 1
            if self._scenario.wait_for_remote is not None:
                await self._charge_remotely()
            else:
                await self._charge(connector, self._scenario.id_tag, remote=False)
        self._show("reporting")
        try:
            async with asyncio.timeout(self._scenario.give_up_after):
                await self._emptied.wait()
        except TimeoutError:
            raise ChargerError("the backend did not acknowledge everything") from None
        if self._scenario.stay:
            self._show("staying")
            await asyncio.Event().wait()

    async def _charge_remotely(self) -> None:
        self._show("waiting for a remote start")
        try:
            async with asyncio.timeout(self._scenario.wait_for_remote):
                start = await self._remote_starts.get()
        except TimeoutError:
            raise ChargerError("no remote start came") from None
        if self._scenario.remote_start == "no-car":
            await self._set_status(start.connector, "Preparing")
            await asyncio.sleep(self._scenario.real_seconds(self._scenario.connection_timeout))
            await self._set_status(start.connector, "Available")
            return
        await self._charge(start.connector, start.id_tag, remote=True)

    async def _charge(self, connector: int, id_tag: str, *, remote: bool) -> None:
        scenario, chance = self._scenario, self._chance
        await self._set_status(connector, "Preparing")
        if not remote:
            try:
                await self._authorize(id_tag)
            except ChargerError:
                await self._set_status(connector, "Available")
                raise
        reservation: dict[str, int] = {}
        if self._reservation is not None and self._reservation.connector == connector:
            reservation = {"reservationId": self._reservation.reservation_id}
            self._reservation = None
        car = any_car(chance)
        record = SessionRecord(
            self.identity, connector, id_tag, int(self._meter_wh), _now(), remote=remote
        )
        self._report.sessions.append(record)
        self._stop_wanted.clear()
        self._write(
            "StartTransaction",
            {
                "connectorId": connector,
                "idTag": id_tag,
                "meterStart": record.meter_start_wh,
                "timestamp": record.started_at,
                **reservation,
            },
            record,
        )
        await self._set_status(connector, "Charging")
        self._show("charging")
        if scenario.offline_after:
            self._do_later(self._go_offline, scenario.offline_after)
        left = scenario.duration
        while left > 0 and not self._stop_wanted.is_set():
            step = min(left, scenario.meter_values_interval)
            if await self._stopped_within(scenario.real_seconds(step)):
                break
            left -= step
            self._meter_wh += car.charge(step)
            self._write("MeterValues", self._meter_values(connector, car), record)
        record.meter_stop_wh = int(self._meter_wh)
        record.stopped_at = _now()
        stop: dict[str, Any] = {
            "meterStop": record.meter_stop_wh,
            "timestamp": record.stopped_at,
            "reason": "Remote" if self._stop_wanted.is_set() and remote else "Local",
        }
        if not remote:
            stop["idTag"] = id_tag
        self._write("StopTransaction", stop, record)
        await self._set_status(connector, "Finishing")
        await self._set_status(connector, "Available")

    async def _authorize(self, id_tag: str) -> None:
        if self._link is None:
            return  # offline: charging points let known tokens charge (OCPP 1.6 section 3.5.3)
        try:
            answer = await self._link.call("Authorize", {"idTag": id_tag})
        except (DisconnectedError, CallRefusedError):
            return
        status = answer["idTagInfo"]["status"]
        if status != "Accepted":
            raise ChargerError(f"token refused: {status}")

    async def _stopped_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self._stop_wanted.wait()
        except TimeoutError:
            return False
        return True

    def _meter_values(self, connector: int, car: Car) -> dict[str, Any]:
        def sample(value: str, measurand: str, unit: str, **more: str) -> dict[str, str]:
            return {
                "value": value,
                "context": "Sample.Periodic",
                "measurand": measurand,
                "unit": unit,
                **more,
            }

        current, voltage = f"{car.current_a:.1f}", f"{VOLTAGE_V:.1f}"
        samples = [
            sample(str(int(self._meter_wh)), "Energy.Active.Import.Register", "Wh"),
            sample(f"{car.power_w:.0f}", "Power.Active.Import", "W"),
            *(sample(current, "Current.Import", "A", phase=f"L{n}") for n in (1, 2, 3)),
            *(sample(voltage, "Voltage", "V", phase=f"L{n}-N") for n in (1, 2)),
            sample(f"{car.state_of_charge * 100:.0f}", "SoC", "Percent", location="EV"),
        ]
        return {
            "connectorId": connector,
            "meterValue": [{"timestamp": _now(), "sampledValue": samples}],
        }

    async def _set_status(self, connector: int, status: str) -> None:
        self._statuses[connector] = status
        self._changed()
        if self._link is not None and self._online.is_set():
            try:
                await self._send_status(self._link, connector)
            except (DisconnectedError, CallRefusedError):
                return  # told again after the next connection

    async def _send_status(self, link: Link, connector: int) -> None:
        status = self._statuses[connector]
        await link.call(
            "StatusNotification",
            {
                "connectorId": connector,
                "errorCode": "OtherError" if status == "Faulted" else "NoError",
                "status": status,
                "timestamp": _now(),
            },
        )

    async def _go_offline(self) -> None:
        self._offline_until = asyncio.get_running_loop().time() + self._scenario.offline_for
        if self._link is not None:
            await self._link.close()

    def _do_later(self, what: Callable[[], Awaitable[Any]], seconds: float) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await what()

        task = asyncio.create_task(later())
        self._later.add(task)
        task.add_done_callback(self._later.discard)

    # The central system's calls. Source: OCPP 1.6 section 5.

    async def _on_call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        match action:
            case "RemoteStartTransaction":
                return {"status": await self._on_remote_start(payload)}
            case "RemoteStopTransaction":
                return {"status": self._on_remote_stop(payload["transactionId"])}
            case "ReserveNow":
                return {"status": self._on_reserve(payload)}
            case "CancelReservation":
                return {"status": self._on_cancel(payload["reservationId"])}
            case "ChangeAvailability" | "ChangeConfiguration" | "Reset":
                return {"status": "Accepted"}
            case "TriggerMessage":
                return self._on_trigger(payload["requestedMessage"])
            case "UnlockConnector":
                return {"status": "Unlocked"}
            case "GetConfiguration":
                interval = str(int(self._heartbeat_interval))
                return {
                    "configurationKey": [
                        {"key": "HeartbeatInterval", "readonly": True, "value": interval}
                    ]
                }
            case "DataTransfer":
                return {"status": "UnknownVendorId"}
        raise NotImplementedActionError(action)

    async def _on_remote_start(self, payload: dict[str, Any]) -> str:
        scenario = self._scenario
        await asyncio.sleep(scenario.remote_start_delay)
        connector, id_tag = int(payload.get("connectorId", 1)), payload["idTag"]
        if scenario.remote_start == "reject" or scenario.wait_for_remote is None:
            return "Rejected"
        kept = self._reservation is not None and self._reservation.id_tag == id_tag
        if self._statuses.get(connector) != ("Reserved" if kept else "Available"):
            return "Rejected"
        try:
            self._remote_starts.put_nowait(RemoteStart(connector, id_tag))
        except asyncio.QueueFull:
            return "Rejected"
        return "Accepted"

    def _on_remote_stop(self, transaction_id: int) -> str:
        running = [s for s in self._report.sessions if s.identity == self.identity]
        if not running or running[-1].stopped_at is not None:
            return "Rejected"
        if running[-1].transaction_id == transaction_id:
            self._stop_wanted.set()
            return "Accepted"
        if running[-1].transaction_id is None:
            # Its start is not answered yet, so this may well be it.
            self._stop_asked.add(transaction_id)
            return "Accepted"
        return "Rejected"

    def _on_reserve(self, payload: dict[str, Any]) -> str:
        """Keep a connector for a token until it expires. Source: OCPP 1.6 section 5.13."""
        connector, number = int(payload["connectorId"]), int(payload["reservationId"])
        if connector not in self._statuses or connector == 0 or not self._scenario.reservations:
            return "Rejected"
        again = self._reservation is not None and self._reservation.reservation_id == number
        match self._statuses[connector]:
            case "Available":
                pass
            case "Faulted" | "Unavailable" as status:
                return status
            case "Reserved" if again:
                pass
            case _:
                return "Occupied"
        self._reservation = kept = Reservation(number, connector, payload["idTag"])
        expiry = datetime.fromisoformat(payload["expiryDate"])
        self._do_later(lambda: self._set_status(connector, "Reserved"), 0)
        left = (expiry - datetime.now(UTC)).total_seconds()
        self._do_later(lambda: self._let_go(kept), max(0.0, left))
        return "Accepted"

    def _on_cancel(self, reservation_id: int) -> str:
        kept = self._reservation
        if kept is None or kept.reservation_id != reservation_id:
            return "Rejected"
        self._do_later(lambda: self._let_go(kept), 0)
        return "Accepted"

    async def _let_go(self, reservation: Reservation) -> None:
        if self._reservation is reservation:
            self._reservation = None
            await self._set_status(reservation.connector, "Available")

    def _on_trigger(self, requested: str) -> dict[str, Any]:
        link = self._link
        if link is None or requested not in ("Heartbeat", "StatusNotification"):
            return {"status": "NotImplemented"}
        if requested == "Heartbeat":
            self._do_later(lambda: link.call("Heartbeat", {}), 0)
        else:
            self._do_later(lambda: self._send_status(link, 1), 0)
        return {"status": "Accepted"}

    def _show(self, phase: str) -> None:
        self.phase = phase
        self._changed()

    def _fail(self, reason: str) -> None:
        self._report.failures[self.identity] = reason
        self._show("failed")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
