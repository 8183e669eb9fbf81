"""The messages of charging points and their answers, in one vocabulary for all OCPP versions.

A charging point's messages: past tense or a noun. Answers: `…Answer`. Energy is integer Wh, time
is aware UTC. `evse_number` is OCPP 1.6's connector id and 2.x's EVSE id; 0 is the whole
charging point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from charging.authorization import Authorization
from charging.command import Done, Setting
from charging.contract import CertificateStatus, ContractFinding, ContractHash
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
    """How an EVSE is, or one of its connectors.

    reported, error_code: in the charging point's words. at: by its own clock, None when it sent
    none. connector_number: None for the EVSE as a whole.
    """

    evse_number: int
    state: EvseState
    reported: str
    error_code: str
    at: datetime | None
    connector_number: int | None = None


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


class SessionPhase(StrEnum):
    """What a charging point reports of a session that it named itself."""

    STARTED = "started"
    UPDATED = "updated"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class SessionReported:
    """A session that the charging point named itself began, goes on, or has ended.

    The reports of a session may come in any order, late, more than once, or never.

    session: names none where the charging point's name cannot be read. sequence: its place among
    the reports of its session, counted from 0; None where none can be read. at: when it happened.
    evse_number, connector_number: None where this report does not repeat them. token: with which
    it began, an empty one for a start without; stop_token: that was shown to end it; None for
    none. command_id: of the remote start that began it. cause, reported_cause: of an end.
    reported_at: as in SessionStarted. raw: kept whole where nothing can be made of it.
    """

    session: SessionReference
    phase: SessionPhase
    sequence: int | None
    at: datetime
    evse_number: int | None
    connector_number: int | None
    token: Token | None
    stop_token: Token | None
    command_id: int | None
    cause: StopCause
    reported_cause: str
    readings: list[Reading]
    raw: Raw
    reported_at: datetime | None = None

    @property
    def first_register_wh(self) -> int | None:
        """The energy register at its earliest reading that has one."""
        return min(self._registers(), default=(None, None), key=_moment)[1]

    @property
    def last_register_wh(self) -> int | None:
        """The energy register at its latest reading that has one."""
        return max(self._registers(), default=(None, None), key=_moment)[1]

    def _registers(self) -> Iterator[tuple[datetime, int]]:
        return (
            (reading.sampled_at, reading.energy_wh)
            for reading in self.readings
            if reading.energy_wh is not None
        )


def _moment(register: tuple[datetime, int]) -> datetime:
    return register[0]


@dataclass(frozen=True, slots=True)
class SessionReportedAnswer:
    """session_id: ours, None where none could be told. authorization: None when no token was shown.

    may_ask: whether the hub may know more about the token.
    """

    session_id: int | None
    authorization: Authorization | None
    may_ask: bool = False


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
    REJECTED = "rejected"


class NoticeKind(StrEnum):
    """What a notice is about."""

    FIRMWARE = "firmware"
    LOG = "log"
    """Diagnostics too."""
    SECURITY = "security"
    CERTIFICATE_REQUEST = "certificate_request"
    DATA = "data"
    """A registered vendor's own message."""
    EVENT = "event"
    """Of a variable that is watched, or that the charging point reports of itself."""
    VARIABLES = "variables"
    MONITORS = "monitors"
    CHARGING_LIMIT = "charging_limit"
    """A limit from elsewhere than us, set or lifted."""
    CHARGING_NEEDS = "charging_needs"
    """What a vehicle or its driver wants, and which schedule it follows."""
    CHARGING_PROFILES = "charging_profiles"
    CONTRACT_CERTIFICATE = "contract_certificate"
    """A vehicle wants a contract's certificate, or the charging point the status of one."""
    CUSTOMER_INFORMATION = "customer_information"
    DISPLAY_MESSAGES = "display_messages"
    RESERVATION = "reservation"
    BATTERY_SWAP = "battery_swap"
    GRID = "grid"
    """Controls and alarms of a distributed energy resource."""
    PAYMENT = "payment"


@dataclass(frozen=True, slots=True)
class Notice:
    """A report that is kept for an operator. status: in OCPP's words, or the charging point's own.

    request_id: of the command that it belongs to; occurred_at: its own clock; None where it told
    none. detail: what else it told. idle: it says only that nothing goes on. ended: how the work
    ended; None while it goes on. log: which one is uploaded, where only the action says it.
    settings: of the charging point, that it tells.
    """

    kind: NoticeKind
    status: str
    request_id: int | None
    occurred_at: datetime | None
    detail: JsonObject
    idle: bool = False
    ended: Done | None = None
    log: LogKind | None = None
    settings: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class EventsReported:
    """Events of what a charging point consists of. statuses: what they tell of connectors."""

    notice: Notice
    statuses: list[StatusReported]


@dataclass(frozen=True, slots=True)
class ContractPresented:
    """A vehicle shows a charging contract. token: the contract's name.

    hashes: of the certificates to be checked, which the charging point has held against its roots;
    chain: PEM, the contract's own first, where it could not.
    """

    token: Token
    hashes: tuple[ContractHash, ...]
    chain: str | None


class ContractVerdict(NamedTuple):
    """reason: why it is not valid, for an operator."""

    finding: ContractFinding
    reason: str


@dataclass(frozen=True, slots=True)
class ContractAnswer:
    """May the contract's bearer charge, and how is its certificate?"""

    authorization: Authorization
    finding: ContractFinding


@dataclass(frozen=True, slots=True)
class ContractCertificateAsked:
    """A vehicle wants a contract's certificate.

    request: EXI, base64, of the schema named. reported_action: install or update, in OCPP's word.
    prioritized: contracts, the first wanted most. most: how many it takes, None for one.
    """

    request: str
    schema: str
    reported_action: str
    prioritized: tuple[str, ...] = ()
    most: int | None = None


@dataclass(frozen=True, slots=True)
class ContractCertificateAnswer:
    """response: EXI, base64; None where there is none, for the reason. remaining: contracts."""

    response: str | None
    reason: str
    remaining: int = 0


@dataclass(frozen=True, slots=True)
class CertificateStatusAsked:
    """It wants to know whether a certificate is revoked."""

    certificate: ContractHash


@dataclass(frozen=True, slots=True)
class CertificateStatusAnswer:
    """response: of OCSP, DER in base64; None where there is none, for the reason."""

    response: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ChainStatusAsked:
    """It wants to know how several certificates stand."""

    certificates: list[ContractHash]


@dataclass(frozen=True, slots=True)
class ChainStatusAnswer:
    """Each with until when that holds; None: nobody knows."""

    statuses: list[tuple[ContractHash, CertificateStatus, datetime | None]]


@dataclass(frozen=True, slots=True)
class DataRefused:
    """A message of a kind that we know, which cannot be read."""

    answer: DataTransferAnswer
    reason: str


@dataclass(frozen=True, slots=True)
class CertificateRequested:
    """It wants its certificate signed. csr: PEM. for_vehicles: for ISO 15118, not for us."""

    csr: str
    for_vehicles: bool = False


@dataclass(frozen=True, slots=True)
class CertificateRequestAnswer:
    """accepted: the certificate will follow by a call of ours."""

    accepted: bool


@dataclass(frozen=True, slots=True)
class Noted:
    """The receipt for what is kept. notice: what it was, where its answer repeats some of it."""

    notice: Notice | None = None
