"""A simulated charging point: its parts, its connection as far as it concerns them, its boot.

What drivers do is in `drivers`, what operators do in `operators`, charging in `sessions`,
long-running work in `firmware` and `logs`.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from charging_point_simulator.report import Report
from charging_point_simulator.station.authorization import Known, TokenCache, TokenList
from charging_point_simulator.station.calls import Call, Calls, Observer, Outgoing, write_frame
from charging_point_simulator.station.certificates import Certificates
from charging_point_simulator.station.connector import Connector, Reservation, Session, Status
from charging_point_simulator.station.limits import Profiles
from charging_point_simulator.station.settings import Settings
from charging_point_simulator.station.timers import Clock, Timer, Timers
from charging_point_simulator.station.transfers import Transfer

FIRMWARE_VERSION = "1.0"
_MOST_MISSED = 100
_OWN_INTERVAL_SECONDS = 60.0


class Dialect(Protocol):
    """Writes a charging point's messages, and reads its commands, in one version of OCPP."""

    @property
    def subprotocol(self) -> str:
        """The WebSocket subprotocol."""

    def answer(self, message_id: Any, action: str, payload: Any) -> None:
        """Take a call of the central system."""

    def check_answer(self, action: str, payload: dict[str, Any]) -> None:
        """Hold an answer to a call of ours against the standard; raises ValueError."""

    def boot(self) -> Call:
        """Report a start or restart."""

    def heartbeat(self) -> Call:
        """Report that it is alive."""

    def statuses(self, connector: Connector) -> list[Call]:
        """Report the state of a connector; 0 is the whole charging point."""

    def changes(self, connector: Connector) -> list[Call]:
        """Report what has changed about a connector since the last time."""

    def reservation_ended(self, reservation: Reservation, how: str) -> list[Call]:
        """Report that a reservation has ended without being used: Expired or Removed."""

    def authorize(self, token: str, on_known: Callable[[Known | None], None]) -> Call:
        """Ask about a token; None when there was no answer."""

    def session_started(self, session: Session) -> Call:
        """Report the start of a session."""

    def session_ended(self, session: Session) -> Call:
        """Report the end of a session."""

    def reading(self, connector: Connector, context: str) -> Call:
        """Report what a connector's meter shows now, in a context of OCPP."""

    def firmware_status(self, status: str, request: int | None) -> Call:
        """Report how far a firmware update is. request: of a signed update."""

    def log_status(self, status: str, request: int | None) -> Call:
        """Report how far an upload is. request: of GetLog, None for diagnostics."""

    def security_event(self, kind: str, detail: str) -> Call:
        """Report a security event."""

    def sign_certificate(self) -> Call:
        """Ask for a certificate of the charging point's own."""


@dataclass
class Options:
    """How a charging point is made.

    plugs: connectors of each EVSE, where the version tells them apart; one is used at a time.
    registers: by connector, Wh; saved through save_registers. backend: the host of the central
    system. remote_starts, reservations: whether it accepts them. boots: False for one that
    never sends a boot. patient: False for one that hangs up when it is called before its boot
    is answered. replays: whether it sends, after a reconnect, the states that it had while it was
    away. outcome: of a firmware update: installed, download-failed or
    installation-failed.
    """

    connectors: int = 1
    plugs: int = 1
    registers: dict[int, float] = field(default_factory=dict)
    save_registers: Callable[[dict[int, float]], None] = lambda registers: None
    backend: str = ""
    security_profile: int = 0
    remote_starts: bool = True
    reservations: bool = True
    boots: bool = True
    patient: bool = True
    replays: bool = False
    outcome: str = "installed"


class ChargingPoint:
    """A charging point.

    changed: called when something changed that a display or a driver may wait for.
    """

    def __init__(
        self,
        identity: str,
        clock: Clock,
        dialect: Callable[[ChargingPoint], Dialect],
        *,
        settings: Settings | None = None,
        options: Options | None = None,
        report: Report | None = None,
        chance: random.Random | None = None,
        write: Outgoing = write_frame,
        message_id: Callable[[int], Any] = str,
        observer: Observer | None = None,
    ) -> None:
        self.identity = identity
        self.settings = settings or Settings()
        self.options = options or Options()
        self.report = report or Report(1)
        self.chance = chance or random.Random()  # noqa: S311 - plausibility, no secret
        self.timers = Timers(clock)
        self.dialect = dialect(self)
        self.calls = Calls(
            self.timers,
            self._on_call,
            check=self.dialect.check_answer,
            write=write,
            message_id=message_id,
            observer=observer,
        )
        now = clock.monotonic()
        self.whole = Connector(0)
        self.connectors = {
            n: Connector(n, self.options.registers.get(n, 0.0), now, plugs=self.options.plugs)
            for n in range(1, self.options.connectors + 1)
        }
        self.token_list = TokenList()
        self.cache = TokenCache()
        self.profiles = Profiles()
        self.certificates = Certificates()
        self.password: bytes | None = None
        self.firmware_version = FIRMWARE_VERSION
        self.transfers: list[Transfer] = []
        self.stop_requests: set[int | str] = set()
        self.at_boot: list[Callable[[], None]] = []
        self.afterwards: list[Callable[[], None]] = []
        self.changed: Callable[[], None] = lambda: None
        self.booted = False
        self.boot_reason = "PowerUp"
        self.registration = ""
        self.refusal = ""
        self.missed: list[Call] = []
        self.away_until = 0.0
        self.abrupt = False
        self.limits_timer: Timer | None = None
        self._heartbeat: Timer | None = None

    # The connection.

    @property
    def online(self) -> bool:
        """Whether it is connected and its boot is accepted."""
        return self.calls.connected and self.calls.accepted

    def on_connected(self) -> None:
        """Begin on an open connection."""
        self.abrupt = False
        self.calls.on_connected()
        self.calls.accepted = False
        if self.booted or not self.options.boots:
            self._on_accepted()
        else:
            self.send_boot()

    def on_disconnected(self) -> None:
        """Go on without the connection."""
        self.calls.on_disconnected()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        self.changed()

    def receive(self, text: str) -> None:
        """Take a text from the central system."""
        self.calls.receive(text)
        self.changed()

    def stay_away(self, seconds: float, *, abrupt: bool = False) -> None:
        """Be without a connection for so long. abrupt: cut, without a closing handshake."""
        self.away_until = self.timers.clock.monotonic() + seconds
        self.abrupt = abrupt
        self.calls.broken = True
        self.calls.on_disconnected()
        self.changed()

    def restart(self) -> None:
        """Boot: be away for a while, then connect and send a boot."""
        self.booted = False
        for connector in self.connectors.values():
            connector.presented, connector.held = None, False
        for callback in self.at_boot:
            callback()
        self.at_boot.clear()
        self.stay_away(self.settings.boot_seconds, abrupt=True)
        self.refresh_all()

    def _on_call(self, message_id: Any, action: str, payload: Any) -> None:
        if not self.options.patient and not self.calls.accepted:
            self.stay_away(1.0, abrupt=True)
            return
        self.dialect.answer(message_id, action, payload)

    # Boot and heartbeat.

    def send_boot(self) -> None:
        """Send a boot."""
        self.calls.send(self.dialect.boot(), first=True)

    def on_boot_answer(self, status: str, interval: float) -> None:
        """Go on as the answer to a boot demands. Source: OCPP 1.6 section 4.2."""
        self.registration = status
        # Zero leaves the choice to the charging point.
        self.settings.heartbeat_seconds = max(1.0, interval or _OWN_INTERVAL_SECONDS)
        if status == "Accepted":
            self.booted = True
            self._on_accepted()
            return
        self.booted = self.calls.accepted = False
        connection = self.calls.connection

        def again() -> None:
            if self.calls.connected and self.calls.connection == connection and not self.booted:
                self.send_boot()

        self.timers.after(self.settings.heartbeat_seconds, again)

    def _on_accepted(self) -> None:
        self.calls.accepted = True
        self.registration = "Accepted"
        for connector in self.all_connectors():
            connector.reported = connector.status
        statuses = [call for each in self.all_connectors() for call in self.dialect.statuses(each)]
        self.calls.send(*self.missed, *statuses, first=True)
        self.missed = []
        self.set_heartbeat()
        self.changed()

    def set_heartbeat(self) -> None:
        """Send a heartbeat an interval from now, and then again; a fleet's do not align."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        if self.settings.heartbeat_seconds > 0:
            wait = self.settings.heartbeat_seconds * self.chance.uniform(0.9, 1)
            self._heartbeat = self.timers.after(wait, self._on_heartbeat)

    def _on_heartbeat(self) -> None:
        if self.online:
            self.calls.send(self.dialect.heartbeat())
            self.set_heartbeat()

    # Its parts.

    def all_connectors(self) -> list[Connector]:
        """Return the whole charging point, then its connectors."""
        return [self.whole, *self.connectors.values()]

    def sessions(self) -> list[Connector]:
        """Return the connectors that have a session."""
        return [c for c in self.connectors.values() if c.session is not None]

    @property
    def power_w(self) -> float:
        """What all cars draw now."""
        return sum(connector.power_w for connector in self.connectors.values())

    @property
    def charging_wh(self) -> int:
        """What the running sessions have charged, up to their last readings."""
        return sum(
            int(connector.register_wh) - connector.session.record.meter_start_wh
            for connector in self.connectors.values()
            if connector.session is not None
        )

    def settle(self, connector: Connector) -> None:
        """Bring a meter up to now."""
        connector.settle(self.timers.clock.monotonic())

    def refresh(self, connector: Connector) -> None:
        """Report a connector's state when it has changed."""
        changes = self.dialect.changes(connector)
        if not changes:
            return
        if self.online:
            self.calls.send(*changes)
        else:
            self.calls.send(*(call for call in changes if call.durable))
            if self.options.replays:
                lost = [call for call in changes if not call.durable]
                self.missed = [*self.missed, *lost][-_MOST_MISSED:]
        self.changed()

    def refresh_all(self) -> None:
        """Report every state that has changed."""
        for connector in self.all_connectors():
            self.refresh(connector)

    def refresh_limits(self) -> None:
        """Apply the charging profiles from now on, until they change by themselves."""
        charging = self.sessions()
        now = self.timers.clock.utc()
        for connector in charging:
            assert connector.session is not None
            self.settle(connector)
            connector.limit_w = self.profiles.limit_w(
                connector.number, now, connector.session.started_at, len(charging)
            )
            self.refresh(connector)
        if self.limits_timer is not None:
            self.limits_timer.cancel()
        starts = [c.session.started_at for c in charging if c.session is not None]
        change: datetime | None = self.profiles.next_change(now, starts) if starts else None
        if change is not None:
            wait = (change - now).total_seconds() + 0.001
            self.limits_timer = self.timers.after(wait, self.refresh_limits)

    def save_registers(self) -> None:
        """Keep the meters' registers beyond this run."""
        self.options.save_registers({n: c.register_wh for n, c in self.connectors.items()})

    def is_free(self, connector: Connector) -> bool:
        """Whether a driver may use a connector now, reservations aside."""
        return connector.status in (Status.AVAILABLE, Status.PREPARING, Status.RESERVED)
