"""OCPP 1.6: each intent a plan of calls that fit the official schemas, and answers folded."""

from datetime import UTC, datetime

import pytest

from charging import intents
from charging.command import CommandKind, Outcome
from charging.intent_json import InvalidIntentError
from charging.intents import (
    Availability,
    CertificateHash,
    CertificateUse,
    LocalListEntry,
    LogKind,
    Period,
    Profile,
    ProfilePurpose,
    Recurrency,
    Trigger,
    Unit,
)
from cp_backend.ocpp.schemas import schemas
from cp_backend.ocpp.v16.commands import OUTGOING, read_error

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
PROFILE = Profile(7, ProfilePurpose.DEFAULT, Unit.AMPERES, (Period(0, 16.04), Period(60, 8, 1)))
DAILY = Profile(
    8,
    ProfilePurpose.WHOLE,
    Unit.WATTS,
    (Period(0, 11_000),),
    stack_level=2,
    starts_at=NOON,
    duration_seconds=86_400,
    recurrency=Recurrency.DAILY,
    valid_from=NOON,
    valid_to=NOON,
    minimum_rate=6.04,
)
OF_SESSION = Profile(9, ProfilePurpose.SESSION, Unit.WATTS, (Period(0, 1),), starts_at=NOON)
HASH = CertificateHash("SHA256", "ab" * 32, "cd" * 32, "01")


def plan(intent):
    return [
        tuple(call) for call in OUTGOING[intent.kind].plan({**intent.arguments(), "command_id": 5})
    ]


ASKED = [
    (intents.Start("TAG"), "RemoteStartTransaction", {"idTag": "TAG"}),
    (intents.Start("TAG", 2), "RemoteStartTransaction", {"idTag": "TAG", "connectorId": 2}),
    (intents.Start("TAG", 2, OF_SESSION), "RemoteStartTransaction", ...),
    (intents.Stop(41), "RemoteStopTransaction", {"transactionId": 41}),
    (
        intents.Reserve(1, "TAG", 5, NOON),
        "ReserveNow",
        {
            "connectorId": 1,
            "idTag": "TAG",
            "reservationId": 5,
            "expiryDate": "2026-05-01T12:00:00.000Z",
        },
    ),
    (intents.CancelReservation(5), "CancelReservation", {"reservationId": 5}),
    (intents.Unlock(1), "UnlockConnector", {"connectorId": 1}),
    (intents.Reset(), "Reset", {"type": "Soft"}),
    (intents.Reset(hard=True), "Reset", {"type": "Hard"}),
    (
        intents.SetAvailability(Availability.INOPERATIVE, 1),
        "ChangeAvailability",
        {"connectorId": 1, "type": "Inoperative"},
    ),
    (intents.ReadSettings(), "GetConfiguration", {}),
    (intents.ReadSettings(("A", "B")), "GetConfiguration", {"key": ["A", "B"]}),
    (intents.ClearCache(), "ClearCache", {}),
    (
        intents.SendLocalList(3),
        "SendLocalList",
        {"listVersion": 3, "localAuthorizationList": [], "updateType": "Full"},
    ),
    (
        intents.SendLocalList(
            3,
            (LocalListEntry("A", expires_at=NOON, group="G"), LocalListEntry("B", None)),
            full=False,
        ),
        "SendLocalList",
        {
            "listVersion": 3,
            "localAuthorizationList": [
                {
                    "idTag": "A",
                    "idTagInfo": {
                        "status": "Accepted",
                        "expiryDate": "2026-05-01T12:00:00.000Z",
                        "parentIdTag": "G",
                    },
                },
                {"idTag": "B"},
            ],
            "updateType": "Differential",
        },
    ),
    (intents.ReadLocalListVersion(), "GetLocalListVersion", {}),
    (
        intents.SetProfile(PROFILE),
        "SetChargingProfile",
        {
            "connectorId": 0,
            "csChargingProfiles": {
                "chargingProfileId": 7,
                "stackLevel": 0,
                "chargingProfilePurpose": "TxDefaultProfile",
                "chargingProfileKind": "Relative",
                "chargingSchedule": {
                    "chargingRateUnit": "A",
                    "chargingSchedulePeriod": [
                        {"startPeriod": 0, "limit": 16.0},
                        {"startPeriod": 60, "limit": 8, "numberPhases": 1},
                    ],
                },
            },
        },
    ),
    (intents.SetProfile(DAILY), "SetChargingProfile", ...),
    (intents.SetProfile(OF_SESSION, 1, 41), "SetChargingProfile", ...),
    (intents.ClearProfiles(), "ClearChargingProfile", {}),
    (
        intents.ClearProfiles(7, 1, ProfilePurpose.SESSION, 0),
        "ClearChargingProfile",
        {"id": 7, "connectorId": 1, "chargingProfilePurpose": "TxProfile", "stackLevel": 0},
    ),
    (
        intents.ReadSchedule(1, 600, Unit.WATTS),
        "GetCompositeSchedule",
        {"connectorId": 1, "duration": 600, "chargingRateUnit": "W"},
    ),
    *(
        (intents.TriggerMessage(trigger, 1), "TriggerMessage", ...)
        for trigger in Trigger
        if trigger is not Trigger.SIGN_CERTIFICATE
    ),
    (
        intents.TriggerMessage(Trigger.SIGN_CERTIFICATE),
        "ExtendedTriggerMessage",
        {"requestedMessage": "SignChargePointCertificate"},
    ),
    (
        intents.UpdateFirmware("https://files.example/1", NOON, 3, 60),
        "UpdateFirmware",
        {
            "location": "https://files.example/1",
            "retrieveDate": "2026-05-01T12:00:00.000Z",
            "retries": 3,
            "retryInterval": 60,
        },
    ),
    (
        intents.UpdateFirmware(
            "https://files.example/1",
            NOON,
            install_at=NOON,
            signature="c2ln",
            signing_certificate="PEM",
        ),
        "SignedUpdateFirmware",
        ...,
    ),
    (
        intents.UploadLog("https://files.example/up/", since=NOON, until=NOON),
        "GetDiagnostics",
        {
            "location": "https://files.example/up/",
            "startTime": "2026-05-01T12:00:00.000Z",
            "stopTime": "2026-05-01T12:00:00.000Z",
        },
    ),
    (
        intents.UploadLog("https://files.example/up/", LogKind.SECURITY),
        "GetLog",
        {
            "logType": "SecurityLog",
            "requestId": 5,
            "log": {"remoteLocation": "https://files.example/up/"},
        },
    ),
    (intents.InstallCertificate(CertificateUse.MANUFACTURER, "PEM"), "InstallCertificate", ...),
    (intents.DeleteCertificate(HASH), "DeleteCertificate", ...),
    (
        intents.ReadCertificates(CertificateUse.CENTRAL_SYSTEM),
        "GetInstalledCertificateIds",
        {"certificateType": "CentralSystemRootCertificate"},
    ),
    (intents.SetCertificate("PEM"), "CertificateSigned", {"certificateChain": "PEM"}),
    (
        intents.SetPassword("passwörd"),
        "ChangeConfiguration",
        {"key": "AuthorizationKey", "value": "passwörd".encode().hex()},
    ),
    (
        intents.SendData("acme", "m", "{}"),
        "DataTransfer",
        {"vendorId": "acme", "messageId": "m", "data": "{}"},
    ),
    (intents.RawCall("Reset", {"type": "Soft"}), "Reset", {"type": "Soft"}),
]


@pytest.mark.parametrize(("intent", "action", "payload"), ASKED)
def test_an_intent_is_a_call_that_fits_its_schema(intent, action, payload):
    [(asked, written)] = plan(intent)
    assert asked == action
    assert payload is ... or written == payload
    schemas("v16").check_request(asked, written)


def test_every_intent_can_be_asked_and_every_call_of_ours_is_written():
    assert OUTGOING.keys() == set(CommandKind)
    of_charging_points = {
        *("Authorize", "BootNotification", "DiagnosticsStatusNotification", "Heartbeat"),
        *("FirmwareStatusNotification", "LogStatusNotification", "MeterValues"),
        *("SecurityEventNotification", "SignCertificate", "SignedFirmwareStatusNotification"),
        *("StartTransaction", "StatusNotification", "StopTransaction"),
    }
    written = {action for _, action, _ in ASKED} | {"ChangeConfiguration"}
    assert written == schemas("v16").actions - of_charging_points


def test_several_settings_are_a_call_each():
    assert plan(intents.WriteSettings({"A": "1", "B": "2"})) == [
        ("ChangeConfiguration", {"key": "A", "value": "1"}),
        ("ChangeConfiguration", {"key": "B", "value": "2"}),
    ]


def test_arguments_that_make_no_intent_name_their_member():
    with pytest.raises(InvalidIntentError) as error:
        OUTGOING[CommandKind.UNLOCK].plan({"evse_number": 0})
    assert error.value.field == "evse_number"


@pytest.mark.parametrize(
    ("kind", "answer", "outcome"),
    [
        (CommandKind.REMOTE_START, {"status": "Accepted"}, Outcome.ACCEPTED),
        (CommandKind.REMOTE_START, {"status": "Rejected"}, Outcome.REJECTED),
        (CommandKind.REMOTE_START, {"status": "Perhaps"}, Outcome.FAILED),
        (CommandKind.RESERVE, {"status": "Rejected"}, Outcome.NOT_OFFERED),
        (CommandKind.RESERVE, {"status": "Occupied"}, Outcome.OCCUPIED),
        (CommandKind.RESERVE, {"status": "Faulted"}, Outcome.OUT_OF_SERVICE),
        (CommandKind.CANCEL_RESERVATION, {"status": "Rejected"}, Outcome.REJECTED),
        (CommandKind.UNLOCK, {"status": "Unlocked"}, Outcome.ACCEPTED),
        (CommandKind.UNLOCK, {"status": "UnlockFailed"}, Outcome.FAILED),
        (CommandKind.UNLOCK, {"status": "NotSupported"}, Outcome.NOT_OFFERED),
        (CommandKind.SET_AVAILABILITY, {"status": "Scheduled"}, Outcome.SCHEDULED),
        (CommandKind.WRITE_SETTINGS, {"status": "RebootRequired"}, Outcome.REBOOT_REQUIRED),
        (CommandKind.READ_SETTINGS, {}, Outcome.ACCEPTED),
        (CommandKind.SEND_LOCAL_LIST, {"status": "VersionMismatch"}, Outcome.REJECTED),
        (CommandKind.SEND_LOCAL_LIST, {"status": "Failed"}, Outcome.FAILED),
        (CommandKind.READ_LOCAL_LIST_VERSION, {"listVersion": 0}, Outcome.ACCEPTED),
        (CommandKind.READ_LOCAL_LIST_VERSION, {"listVersion": -1}, Outcome.NOT_OFFERED),
        (CommandKind.CLEAR_PROFILES, {"status": "Unknown"}, Outcome.REJECTED),
        (CommandKind.TRIGGER, {"status": "NotImplemented"}, Outcome.NOT_OFFERED),
        (CommandKind.UPDATE_FIRMWARE, {}, Outcome.ACCEPTED),
        (CommandKind.UPDATE_FIRMWARE, {"status": "AcceptedCanceled"}, Outcome.ACCEPTED),
        (CommandKind.UPDATE_FIRMWARE, {"status": "InvalidCertificate"}, Outcome.REJECTED),
        (CommandKind.READ_CERTIFICATES, {"status": "NotFound"}, Outcome.ACCEPTED),
        (CommandKind.SEND_DATA, {"status": "UnknownVendorId"}, Outcome.NOT_OFFERED),
    ],
)
def test_answers_are_outcomes(kind, answer, outcome):
    assert OUTGOING[kind].read(answer) is outcome


def test_errors_are_outcomes():
    assert read_error("NotImplemented") is Outcome.NOT_OFFERED
    assert read_error("NotSupported") is Outcome.NOT_OFFERED
    assert read_error("InternalError") is Outcome.FAILED
    assert read_error("") is Outcome.FAILED
