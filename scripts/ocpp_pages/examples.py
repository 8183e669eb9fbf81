"""An example of everything that can be asked of a charging point, in all its forms.

The page of coverage finds by them which actions each command calls; the tests with an independent
client send them.
"""

from __future__ import annotations

from datetime import UTC, datetime

from charging.intents import (
    Availability,
    CancelReservation,
    CertificateHash,
    CertificateUse,
    ClearCache,
    ClearProfiles,
    DeleteCertificate,
    InstallCertificate,
    Intent,
    LocalListEntry,
    LogKind,
    Period,
    Profile,
    ProfilePurpose,
    RawCall,
    ReadCertificates,
    ReadLocalListVersion,
    ReadSchedule,
    ReadSettings,
    Reserve,
    Reset,
    SendData,
    SendLocalList,
    SetAvailability,
    SetCertificate,
    SetPassword,
    SetProfile,
    Start,
    Stop,
    Trigger,
    TriggerMessage,
    Unit,
    Unlock,
    UpdateFirmware,
    UploadLog,
    WriteSettings,
)

_TIME = datetime(2027, 1, 1, 12, tzinfo=UTC)
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
_URL = "https://files.example/firmware.bin"
_LIMIT = Profile(1, ProfilePurpose.DEFAULT, Unit.AMPERES, (Period(0, 10.0),))

EXAMPLES: tuple[Intent, ...] = (
    Start(id_tag="TAG", evse_number=1),
    Stop(session_id=1),
    Reserve(1, "TAG", 1, _TIME),
    CancelReservation(1),
    Unlock(1),
    Reset(),
    Reset(hard=True),
    SetAvailability(Availability.OPERATIVE),
    ReadSettings(),
    WriteSettings({"HeartbeatInterval": "300"}),
    ClearCache(),
    SendLocalList(1, (LocalListEntry("TAG"),)),
    ReadLocalListVersion(),
    SetProfile(_LIMIT, evse_number=1),
    ClearProfiles(),
    ReadSchedule(1),
    *(TriggerMessage(trigger) for trigger in Trigger),
    UpdateFirmware(_URL, _TIME),
    UpdateFirmware(_URL, _TIME, signature="c2ln", signing_certificate=_CERTIFICATE),
    UploadLog("https://files.example/logs/"),
    UploadLog("https://files.example/logs/", LogKind.SECURITY),
    InstallCertificate(CertificateUse.CENTRAL_SYSTEM, _CERTIFICATE),
    DeleteCertificate(CertificateHash("SHA256", "ab", "cd", "01")),
    ReadCertificates(CertificateUse.MANUFACTURER),
    SetCertificate(_CERTIFICATE),
    SetPassword("correct horse battery"),
    SendData("VNI", "ping", "1"),
    RawCall("ClearCache", {}),
)
