"""A connector: its state follows from what is plugged in, presented, reserved and broken."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from charging_point_simulator.report import SessionRecord
from charging_point_simulator.station.car import Car


class Status(StrEnum):
    """The states of a connector. Source: OCPP 1.6 section 7.7."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"


# Source: OCPP 1.6 section 7.6.
ERROR_CODES = (
    *("ConnectorLockFailure", "EVCommunicationError", "GroundFailure", "HighTemperature"),
    *("InternalError", "LocalListConflict", "OtherError", "OverCurrentFailure"),
    *("OverVoltage", "PowerMeterFailure", "PowerSwitchFailure", "ReaderFailure", "ResetFailure"),
    *("UnderVoltage", "WeakSignal"),
)

_A, _P, _C, _V, _S, _F, _R, _U = list(Status)[:8]
# The table of OCPP 1.6 section 4.9; to and from Faulted, all are allowed.
TRANSITIONS: dict[Status, frozenset[Status]] = {
    _A: frozenset((_P, _C, _V, _S, _R, _U)),
    _P: frozenset((_A, _C, _V, _S, _F)),
    _C: frozenset((_A, _V, _S, _F, _U)),
    _V: frozenset((_A, _C, _S, _F, _U)),
    _S: frozenset((_A, _C, _V, _F, _U)),
    _F: frozenset((_A, _P, _U)),
    _R: frozenset((_A, _P, _U)),
    _U: frozenset((_A, _P, _C, _V, _S)),
    Status.FAULTED: frozenset(Status),
}


@dataclass
class Token:
    """A token that was presented.

    remote: by a remote start, not at the reader. kind: its type, where the version has types;
    request: the number of the remote start, where it has one.
    """

    id: str
    remote: bool = False
    kind: str = ""
    request: int | None = None


@dataclass
class Reservation:
    """A connector that is kept for a token, or for those of its group (parent)."""

    number: int
    token: str
    parent: str | None
    until: datetime


@dataclass
class Session:
    """A charging session.

    token: that it began with; token_stopped: that ended it, None for none. sequence: the number of
    its next message, where the version counts them. reported_state: of charging, as last reported.
    """

    record: SessionRecord
    started_at: datetime
    token: Token
    reservation: int | None = None
    sequence: int = 0
    reported_state: str = ""
    stopped_at: datetime | None = None
    reason: str | None = None
    token_stopped: str | None = None
    last_reading: float = 0.0


@dataclass
class Connector:
    """A connector and its meter.

    register_wh: of its whole life, never lowered. limit_w: what may be drawn now. settled_at:
    the moment (monotonic) up to which the register is right. held: a session ended and its cable
    is still in. presented: a token that was accepted and waits for a car. plugs: how many an EVSE
    has; plug: which of them is in use, or was last.
    """

    number: int
    register_wh: float = 0.0
    settled_at: float = 0.0
    limit_w: float = math.inf
    operative: bool = True
    inoperative_next: bool = False
    error_code: str = "NoError"
    car: Car | None = None
    presented: Token | None = None
    session: Session | None = None
    held: bool = False
    reservation: Reservation | None = None
    plugs: int = 1
    plug: int = 1
    reported: Status = field(default=Status.AVAILABLE)

    @property
    def free(self) -> bool:
        """Whether nothing is plugged in, and nothing charges."""
        return self.car is None and self.session is None and not self.held

    @property
    def status(self) -> Status:
        """The state that follows from everything else."""
        if self.error_code != "NoError":
            return Status.FAULTED
        if self.session is not None:
            return self._charging()
        if not self.operative:
            return Status.UNAVAILABLE
        if self.held:
            return Status.FINISHING
        if self.car is not None or self.presented is not None:
            return Status.PREPARING
        return Status.RESERVED if self.reservation is not None else Status.AVAILABLE

    def _charging(self) -> Status:
        if self.limit_w <= 0:
            return Status.SUSPENDED_EVSE
        return Status.SUSPENDED_EV if self.car is None or self.car.full else Status.CHARGING

    @property
    def power_w(self) -> float:
        """What is drawn at this moment."""
        return 0.0 if self.session is None or self.car is None else self.car.power_w(self.limit_w)

    def settle(self, now: float) -> None:
        """Bring the register up to a moment, at the limit that held until now."""
        if self.session is not None and self.car is not None:
            self.register_wh += self.car.charge(now - self.settled_at, self.limit_w)
        self.settled_at = now
