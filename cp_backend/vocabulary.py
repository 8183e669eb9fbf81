"""The messages of charging points and their answers, in one vocabulary for all OCPP versions.

A charging point's messages: past tense or a noun. Answers: `…Answer`. Energy is integer Wh, time
is aware UTC. `evse_number` is OCPP 1.6's connector id and 2.x's EVSE id; 0 is the whole
charging point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from charging.authorization import Authorization

JsonObject = dict[str, Any]
"""A payload as JSON has it, read or to be written."""


class Registration(StrEnum):
    """How a charging point's boot is answered. Source: OCPP 1.6 RegistrationStatus."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    REJECTED = "Rejected"


@dataclass(frozen=True, slots=True)
class Booted:
    """It (re)started and says what it is."""

    vendor: str
    model: str
    serial_number: str | None
    firmware_version: str | None


@dataclass(frozen=True, slots=True)
class BootAnswer:
    """interval_seconds: between heartbeats, or until the next try when not accepted."""

    registration: Registration
    now: datetime
    interval_seconds: int


@dataclass(frozen=True, slots=True)
class HeartbeatReceived:
    """It is alive and asks the time."""


@dataclass(frozen=True, slots=True)
class TokenPresented:
    """Somebody showed a token."""

    id_tag: str


@dataclass(frozen=True, slots=True)
class StatusReported:
    """status and error_code in OCPP's words; at: its own clock, None when it said none."""

    evse_number: int
    status: str
    error_code: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A transaction began, now or, when it was offline, some time ago."""

    evse_number: int
    id_tag: str
    started_at: datetime
    meter_start_wh: int


@dataclass(frozen=True, slots=True)
class SessionStartedAnswer:
    """session_id: positive, the same for a repeated SessionStarted."""

    session_id: int
    authorization: Authorization


@dataclass(frozen=True, slots=True)
class Reading:
    """The sampled values of one moment.

    energy_wh: the energy register, where it is among them.
    sampled_values: as the charging point sent them, OCPP's names and strings.
    """

    sampled_at: datetime
    energy_wh: int | None
    sampled_values: list[JsonObject]


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A transaction ended. session_id: as the charging point knows it, perhaps not a real one.

    payload: the message as it came, kept whole where the session is unknown.
    """

    session_id: int
    ended_at: datetime
    meter_stop_wh: int
    reason: str
    id_tag: str | None
    readings: list[Reading]
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class SessionEndedAnswer:
    """authorization: None when no token was presented to stop."""

    authorization: Authorization | None


@dataclass(frozen=True, slots=True)
class MeterRead:
    """Meter readings. session_id: None outside a session."""

    evse_number: int
    session_id: int | None
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class DataTransferred:
    """A vendor's own message."""

    vendor_id: str
    message_id: str | None


@dataclass(frozen=True, slots=True)
class DataTransferAnswer:
    """status: in OCPP's words."""

    status: str


@dataclass(frozen=True, slots=True)
class Noted:
    """It was told something that needs no answer but the receipt."""


Message = (
    Booted
    | HeartbeatReceived
    | TokenPresented
    | StatusReported
    | SessionStarted
    | SessionEnded
    | MeterRead
    | DataTransferred
)

Answer = (
    BootAnswer
    | datetime
    | Authorization
    | SessionStartedAnswer
    | SessionEndedAnswer
    | DataTransferAnswer
    | Noted
)
