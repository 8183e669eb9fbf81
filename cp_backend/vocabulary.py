"""The messages of charging points and their answers, in one vocabulary for all OCPP versions.

A charging point's messages: past tense or a noun. Answers: `…Answer`. Energy is integer Wh, time
is aware UTC. `evse_number` is OCPP 1.6's connector id and 2.x's EVSE id; 0 is the whole
charging point.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from charging.authorization import Authorization
from charging.command import Done
from charging.evse import EvseState
from charging.intents import LogKind
from charging.registration import Registration as Registration
from charging.session import SessionReference, StopCause
from charging.token import Token

JsonObject = dict[str, Any]
"""A payload as JSON has it, read or to be written."""


@dataclass(frozen=True, slots=True)
class Booted:
    """It started, and reports what it is."""

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
    """A token was shown, to begin a session or to end one."""

    token: Token


@dataclass(frozen=True, slots=True)
class StatusReported:
    """How an EVSE is.

    reported, error_code: in the charging point's words. at: by its own clock, None when it sent
    none.
    """

    evse_number: int
    state: EvseState
    reported: str
    error_code: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A session began, now or, when the charging point was offline, some time ago.

    meter_start_wh: None where no register came, or one that cannot be. reported_at: the charging
    point's own time, where it cannot be and started_at is that of receipt. reported_meter: its own
    register, where it is no whole number of Wh or cannot be.
    """

    evse_number: int
    token: Token
    started_at: datetime
    meter_start_wh: int | None
    reported_at: datetime | None = None
    reported_meter: float | None = None


@dataclass(frozen=True, slots=True)
class SessionStartedAnswer:
    """session_id: positive, the same for a repeated SessionStarted."""

    session_id: int
    authorization: Authorization


@dataclass(frozen=True, slots=True)
class Reading:
    """The sampled values of one moment.

    energy_wh: the energy register, where it is among them.
    sampled_values: as the charging point sent them. reported_at: as in SessionStarted.
    """

    sampled_at: datetime
    energy_wh: int | None
    sampled_values: list[JsonObject]
    reported_at: datetime | None = None


class Raw(NamedTuple):
    """A message as it came, for a fact that belongs nowhere else."""

    action: str
    payload: JsonObject


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """A session ended.

    session: as the charging point names it, perhaps not a real one. reported_cause: in its words.
    token: None when none was shown to end it. raw: kept whole where the session is unknown.
    meter_stop_wh, reported_at, reported_meter: as in SessionStarted.
    """

    session: SessionReference
    ended_at: datetime
    meter_stop_wh: int | None
    cause: StopCause
    reported_cause: str
    token: Token | None
    readings: list[Reading]
    raw: Raw
    reported_at: datetime | None = None
    reported_meter: float | None = None


@dataclass(frozen=True, slots=True)
class SessionEndedAnswer:
    """authorization: None when no token was shown to end it."""

    authorization: Authorization | None


@dataclass(frozen=True, slots=True)
class MeterRead:
    """Meter readings. session: names none outside a session."""

    evse_number: int
    session: SessionReference
    readings: list[Reading]


@dataclass(frozen=True, slots=True)
class DataTransferred:
    """A vendor's own message. data: None where there is none."""

    vendor_id: str
    message_id: str | None
    data: str | None = None


class DataTransferAnswer(StrEnum):
    """How a vendor's own message is answered."""

    ACCEPTED = "accepted"
    UNKNOWN_VENDOR = "unknown_vendor"
    UNKNOWN_MESSAGE = "unknown_message"


class NoticeKind(StrEnum):
    """What a notice is about."""

    FIRMWARE = "firmware"
    LOG = "log"
    """Diagnostics too."""
    SECURITY = "security"
    CERTIFICATE_REQUEST = "certificate_request"
    DATA = "data"
    """A registered vendor's own message."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A report that is kept for an operator. status: in OCPP's words, or the charging point's own.

    request_id: of the command that it belongs to; occurred_at: its own clock; None where it told
    none. detail: what else it told. idle: it says only that nothing goes on. ended: how the work
    ended; None while it goes on. log: which one is uploaded, where only the action says it.
    """

    kind: NoticeKind
    status: str
    request_id: int | None
    occurred_at: datetime | None
    detail: JsonObject
    idle: bool = False
    ended: Done | None = None
    log: LogKind | None = None


@dataclass(frozen=True, slots=True)
class CertificateRequested:
    """It wants its certificate signed. csr: PEM."""

    csr: str


@dataclass(frozen=True, slots=True)
class CertificateRequestAnswer:
    """accepted: the certificate will follow by a call of ours."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """The receipt for what needs no other answer."""
