"""What can be asked of a charging point, whatever the OCPP version it speaks.

An intent is a frozen dataclass; as the arguments of a row in `commands` it is a JSON object with
the same members, times in ISO 8601 with an offset. The node turns it into one or several calls of
the version that the charging point speaks, and folds their answers into one result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from charging.command import CommandKind
from charging.intent_json import check, read, to_json


class Availability(StrEnum):
    """What an EVSE or a charging point is switched to."""

    OPERATIVE = "operative"
    INOPERATIVE = "inoperative"


class ProfilePurpose(StrEnum):
    """What a charging profile limits."""

    WHOLE = "whole"
    """The charging point as a whole."""
    DEFAULT = "default"
    """Every session at an EVSE (or at all, for EVSE 0) that has no profile of its own."""
    SESSION = "session"
    """One running session."""


class Unit(StrEnum):
    """The unit of a charging profile's limits."""

    WATTS = "W"
    AMPERES = "A"


class Recurrency(StrEnum):
    """How often a profile starts anew."""

    DAILY = "daily"
    WEEKLY = "weekly"


class Trigger(StrEnum):
    """What a charging point can be asked to send now."""

    BOOT = "boot"
    HEARTBEAT = "heartbeat"
    STATUS = "status"
    METER_VALUES = "meter_values"
    FIRMWARE_STATUS = "firmware_status"
    LOG_STATUS = "log_status"
    SIGN_CERTIFICATE = "sign_certificate"


class LogKind(StrEnum):
    """Which of its logs a charging point uploads."""

    DIAGNOSTICS = "diagnostics"
    SECURITY = "security"


class PasswordSpelling(StrEnum):
    """How a password is written to a charging point."""

    HEX = "hex"
    """As OCPP 1.6 has it: its bytes in hex, which the charging point decodes for its header."""
    TEXT = "text"
    """As it is, for models that use what they are sent."""


class CertificateUse(StrEnum):
    """What a root certificate is installed for."""

    CENTRAL_SYSTEM = "central_system"
    """To tell our servers' certificates by."""
    MANUFACTURER = "manufacturer"
    """To tell signed firmware by."""
    V2G_ROOT = "v2g_root"
    """Plug & Charge: of the charging infrastructure, which vehicles know."""
    CONTRACT_ROOT = "contract_root"
    """Plug & Charge: to tell charging contracts by."""
    VEHICLE_ROOT = "vehicle_root"
    """Plug & Charge: to tell vehicles by; from OCPP 2.1 on."""


@dataclass(frozen=True, slots=True)
class Period:
    """A part of a charging profile. start_seconds: from the profile's start; limit: in its unit."""

    start_seconds: int
    limit: float
    phases: int | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A charging profile. profile_id is unique at the charging point.

    starts_at: None for relative ones, which start with the session. recurrency: of profiles that
    start anew each day or week at the time of starts_at.
    """

    profile_id: int
    purpose: ProfilePurpose
    unit: Unit
    periods: tuple[Period, ...]
    stack_level: int = 0
    starts_at: datetime | None = None
    duration_seconds: int | None = None
    recurrency: Recurrency | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    minimum_rate: float | None = None

    def __post_init__(self) -> None:
        check(bool(self.periods), "periods", "a profile has at least one period")
        check(
            not self.periods or self.periods[0].start_seconds == 0,
            "periods",
            "the first period starts at 0 seconds",
        )
        check(
            self.recurrency is None or self.starts_at is not None,
            "starts_at",
            "a profile that recurs has a start",
        )


@dataclass(frozen=True, slots=True)
class LocalListEntry:
    """A token of a charging point's own list. allowed: None takes it off a list (differences)."""

    id_tag: str
    allowed: bool | None = True
    expires_at: datetime | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class CertificateHash:
    """Names an installed certificate. algorithm: SHA256, SHA384 or SHA512; the others in hex."""

    algorithm: str
    issuer_name: str
    issuer_key: str
    serial_number: str


@dataclass(frozen=True, slots=True)
class Intent:
    """What is asked. kind: of the row in `commands`."""

    kind: ClassVar[CommandKind]
    secrets: ClassVar[frozenset[str]] = frozenset()
    """Members that no log, no list and no answer may show."""

    def arguments(self) -> dict[str, Any]:
        """Return the row's arguments: a JSON object, members that are None left out."""
        return {
            f.name: to_json(getattr(self, f.name))
            for f in fields(self)
            if getattr(self, f.name) is not None
        }


@dataclass(frozen=True, slots=True)
class Start(Intent):
    """Start a session. evse_number: None lets the charging point choose."""

    kind = CommandKind.REMOTE_START
    id_tag: str
    evse_number: int | None = None
    profile: Profile | None = None


@dataclass(frozen=True, slots=True)
class Stop(Intent):
    """End a session. session_id: ours, which 1.6 knows as transactionId.

    station_session: the charging point's own name of it, which the node fills in.
    """

    kind = CommandKind.REMOTE_STOP
    session_id: int
    station_session: str | None = None


@dataclass(frozen=True, slots=True)
class Reserve(Intent):
    """Hold an EVSE for a token. evse_number: 0 for whichever is free."""

    kind = CommandKind.RESERVE
    evse_number: int
    id_tag: str
    reservation_id: int
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CancelReservation(Intent):
    """Give a reserved EVSE free."""

    kind = CommandKind.CANCEL_RESERVATION
    reservation_id: int


@dataclass(frozen=True, slots=True)
class Unlock(Intent):
    """Unlock the cable of an EVSE."""

    kind = CommandKind.UNLOCK
    evse_number: int

    def __post_init__(self) -> None:
        check(self.evse_number > 0, "evse_number", "must be 1 or more")


@dataclass(frozen=True, slots=True)
class Reset(Intent):
    """Restart a charging point. hard: at once, without ending sessions properly."""

    kind = CommandKind.RESET
    hard: bool = False


@dataclass(frozen=True, slots=True)
class SetAvailability(Intent):
    """Switch an EVSE, or the charging point as a whole (0), on or off for drivers."""

    kind = CommandKind.SET_AVAILABILITY
    availability: Availability
    evse_number: int = 0


@dataclass(frozen=True, slots=True)
class ReadSettings(Intent):
    """Read settings by name; none named: all."""

    kind = CommandKind.READ_SETTINGS
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WriteSettings(Intent):
    """Set settings, by name."""

    kind = CommandKind.WRITE_SETTINGS
    values: Mapping[str, str]

    def __post_init__(self) -> None:
        check(bool(self.values), "values", "names at least one setting")


@dataclass(frozen=True, slots=True)
class ClearCache(Intent):
    """Let a charging point forget which tokens it has seen accepted."""

    kind = CommandKind.CLEAR_CACHE


@dataclass(frozen=True, slots=True)
class SendLocalList(Intent):
    """Give a charging point its own list of tokens.

    version: that the list has afterwards. full: it replaces the list; otherwise the entries are
    differences from the version before. base_version: from which they are; whole: what is sent
    instead where the charging point has another one.
    """

    kind = CommandKind.SEND_LOCAL_LIST
    version: int
    entries: tuple[LocalListEntry, ...] = ()
    full: bool = True
    base_version: int | None = None
    whole: tuple[LocalListEntry, ...] | None = None


@dataclass(frozen=True, slots=True)
class ReadLocalListVersion(Intent):
    """Read the version of a charging point's own list of tokens."""

    kind = CommandKind.READ_LOCAL_LIST_VERSION


@dataclass(frozen=True, slots=True)
class SetProfile(Intent):
    """Set a charging profile at an EVSE, or for the charging point as a whole (0).

    session_id: of the running session that a profile with that purpose is for; station_session:
    the charging point's own name of it, which the node fills in.
    """

    kind = CommandKind.SET_PROFILE
    profile: Profile
    evse_number: int = 0
    session_id: int | None = None
    station_session: str | None = None

    def __post_init__(self) -> None:
        of_session = self.profile.purpose is ProfilePurpose.SESSION
        check(
            not of_session or self.evse_number > 0,
            "evse_number",
            "a profile for a session names its EVSE",
        )
        check(
            self.profile.purpose is not ProfilePurpose.WHOLE or self.evse_number == 0,
            "evse_number",
            "a profile for the whole charging point stands at EVSE 0",
        )


@dataclass(frozen=True, slots=True)
class ClearProfiles(Intent):
    """Remove the charging profiles that match all that is given; nothing given: all."""

    kind = CommandKind.CLEAR_PROFILES
    profile_id: int | None = None
    evse_number: int | None = None
    purpose: ProfilePurpose | None = None
    stack_level: int | None = None


@dataclass(frozen=True, slots=True)
class ReadSchedule(Intent):
    """Read which limits are in force at an EVSE for so many seconds from now."""

    kind = CommandKind.READ_SCHEDULE
    evse_number: int
    seconds: int = 3600
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class TriggerMessage(Intent):
    """Let a charging point send something now. evse_number: None for the charging point."""

    kind = CommandKind.TRIGGER
    message: Trigger
    evse_number: int | None = None


@dataclass(frozen=True, slots=True)
class UpdateFirmware(Intent):
    """Let a charging point fetch and install firmware.

    signature, signing_certificate: of signed firmware; base64, PEM. The command's id is OCPP's
    requestId, which returns with each status message.
    """

    kind = CommandKind.UPDATE_FIRMWARE
    url: str
    fetch_at: datetime
    retries: int | None = None
    retry_seconds: int | None = None
    install_at: datetime | None = None
    signature: str | None = None
    signing_certificate: str | None = None

    def __post_init__(self) -> None:
        check(
            (self.signature is None) == (self.signing_certificate is None),
            "signature",
            "signature and signing_certificate go together",
        )


@dataclass(frozen=True, slots=True)
class UploadLog(Intent):
    """Let a charging point upload a log. url: of a folder, as OCPP has it.

    The command's id is OCPP's requestId, which returns with each status message.
    """

    kind = CommandKind.UPLOAD_LOG
    url: str
    log: LogKind = LogKind.DIAGNOSTICS
    since: datetime | None = None
    until: datetime | None = None
    retries: int | None = None
    retry_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class InstallCertificate(Intent):
    """Install a root certificate. certificate: PEM."""

    kind = CommandKind.INSTALL_CERTIFICATE
    use: CertificateUse
    certificate: str


@dataclass(frozen=True, slots=True)
class DeleteCertificate(Intent):
    """Remove an installed certificate.

    use: what it was installed for, where that is Plug & Charge: 1.6 is asked in another way.
    """

    kind = CommandKind.DELETE_CERTIFICATE
    certificate: CertificateHash
    use: CertificateUse | None = None


@dataclass(frozen=True, slots=True)
class ReadCertificates(Intent):
    """Read which root certificates are installed."""

    kind = CommandKind.READ_CERTIFICATES
    use: CertificateUse


@dataclass(frozen=True, slots=True)
class SetCertificate(Intent):
    """Hand a charging point its own certificate, signed. chain: PEM, its own first."""

    kind = CommandKind.SET_CERTIFICATE
    chain: str


@dataclass(frozen=True, slots=True)
class SetPassword(Intent):
    """Give a charging point a new password.

    Ours changes when it accepts; the one before stays valid for an hour. spelling: versions after
    1.6 have text only.
    """

    kind = CommandKind.SET_PASSWORD
    secrets = frozenset({"password"})
    password: str
    spelling: PasswordSpelling = PasswordSpelling.HEX

    def __post_init__(self) -> None:
        check(8 <= len(self.password.encode()) <= 64, "password", "must have 8 to 64 bytes")


@dataclass(frozen=True, slots=True)
class SendData(Intent):
    """Send data in a form that a vendor has agreed with us. data: text, often JSON."""

    kind = CommandKind.SEND_DATA
    vendor_id: str
    message_id: str | None = None
    data: str | None = None


@dataclass(frozen=True, slots=True)
class RawCall(Intent):
    """Send any call of the version that the charging point speaks, as it is."""

    kind = CommandKind.CALL
    action: str
    payload: Mapping[str, Any]


INTENTS: dict[CommandKind, type[Intent]] = {
    intent.kind: intent
    for intent in (
        *(Start, Stop, Reserve, CancelReservation, Unlock, Reset, SetAvailability),
        *(ReadSettings, WriteSettings, ClearCache, SendLocalList, ReadLocalListVersion),
        *(SetProfile, ClearProfiles, ReadSchedule, TriggerMessage, UpdateFirmware, UploadLog),
        *(InstallCertificate, DeleteCertificate, ReadCertificates, SetCertificate),
        *(SetPassword, SendData, RawCall),
    )
}
"""Every kind of command and what it asks."""


def read_intent(kind: CommandKind, arguments: Mapping[str, Any]) -> Intent:
    """Return what a command's row asks. Raises InvalidIntentError, which names the member.

    Members that we do not know are passed over: a newer service may have written the row.
    """
    intent = read(INTENTS[kind], arguments, "")
    assert isinstance(intent, Intent)
    return intent
