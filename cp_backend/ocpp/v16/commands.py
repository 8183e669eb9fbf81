"""OCPP 1.6: what is asked of charging points, each intent a plan of calls.

Source: OCPP 1.6 edition 2, section 5; of the security extension: Improved security for OCPP 1.6-J
edition 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from charging import intents
from charging.command import CommandKind, Outcome, Setting
from charging.intents import (
    Availability,
    CertificateUse,
    Intent,
    LogKind,
    PasswordSpelling,
    Profile,
    ProfilePurpose,
    Recurrency,
    Trigger,
)
from cp_backend.ocpp.actions import Exchange, Outgoing, OutgoingCall
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.times import write_time
from cp_backend.ocpp.v16 import configuration, local_list
from cp_backend.ocpp.v16.configuration import settings_told
from cp_backend.vocabulary import JsonObject

I = TypeVar("I", bound=Intent)  # noqa: E741
Plan = Callable[[I], Sequence[OutgoingCall]]

_OUTCOMES = {
    "Accepted": Outcome.ACCEPTED,
    "AcceptedCanceled": Outcome.ACCEPTED,
    "Unlocked": Outcome.ACCEPTED,
    "Scheduled": Outcome.SCHEDULED,
    "RebootRequired": Outcome.REBOOT_REQUIRED,
    "Occupied": Outcome.OCCUPIED,
    "Faulted": Outcome.OUT_OF_SERVICE,
    "Unavailable": Outcome.OUT_OF_SERVICE,
    "NotSupported": Outcome.NOT_OFFERED,
    "NotImplemented": Outcome.NOT_OFFERED,
    "UnknownVendorId": Outcome.NOT_OFFERED,
    "UnknownMessageId": Outcome.NOT_OFFERED,
    "Rejected": Outcome.REJECTED,
    "VersionMismatch": Outcome.REJECTED,
    "NotFound": Outcome.REJECTED,
    "Unknown": Outcome.REJECTED,
    "InvalidCertificate": Outcome.REJECTED,
    "RevokedCertificate": Outcome.REJECTED,
    "Failed": Outcome.FAILED,
    "UnlockFailed": Outcome.FAILED,
}

_PURPOSES = {
    ProfilePurpose.WHOLE: "ChargePointMaxProfile",
    ProfilePurpose.DEFAULT: "TxDefaultProfile",
    ProfilePurpose.SESSION: "TxProfile",
}
_RECURRENCIES = {Recurrency.DAILY: "Daily", Recurrency.WEEKLY: "Weekly"}
_AVAILABILITIES = {
    Availability.OPERATIVE: "Operative",
    Availability.INOPERATIVE: "Inoperative",
}
_TRIGGERS = {
    Trigger.BOOT: "BootNotification",
    Trigger.HEARTBEAT: "Heartbeat",
    Trigger.STATUS: "StatusNotification",
    Trigger.METER_VALUES: "MeterValues",
    Trigger.FIRMWARE_STATUS: "FirmwareStatusNotification",
    Trigger.LOG_STATUS: "DiagnosticsStatusNotification",
}
_OF_A_CONNECTOR = (Trigger.STATUS, Trigger.METER_VALUES)
_CERTIFICATE_USES = {
    CertificateUse.CENTRAL_SYSTEM: "CentralSystemRootCertificate",
    CertificateUse.MANUFACTURER: "ManufacturerRootCertificate",
}


def _call(action: str, **payload: object) -> OutgoingCall:
    """Return a call; members that are None are left out."""
    return OutgoingCall(
        action, {name: value for name, value in payload.items() if value is not None}
    )


def _start(intent: intents.Start) -> list[OutgoingCall]:
    profile = None if intent.profile is None else _profile(intent.profile, None)
    return [
        _call(
            "RemoteStartTransaction",
            connectorId=intent.evse_number,
            idTag=intent.id_tag,
            chargingProfile=profile,
        )
    ]


def _stop(intent: intents.Stop) -> list[OutgoingCall]:
    return [_call("RemoteStopTransaction", transactionId=intent.session_id)]


def _reserve(intent: intents.Reserve) -> list[OutgoingCall]:
    return [
        _call(
            "ReserveNow",
            connectorId=intent.evse_number,
            expiryDate=write_time(intent.expires_at),
            idTag=intent.id_tag,
            reservationId=intent.reservation_id,
        )
    ]


def _cancel_reservation(intent: intents.CancelReservation) -> list[OutgoingCall]:
    return [_call("CancelReservation", reservationId=intent.reservation_id)]


def _unlock(intent: intents.Unlock) -> list[OutgoingCall]:
    return [_call("UnlockConnector", connectorId=intent.evse_number)]


def _reset(intent: intents.Reset) -> list[OutgoingCall]:
    return [_call("Reset", type="Hard" if intent.hard else "Soft")]


def _set_availability(intent: intents.SetAvailability) -> list[OutgoingCall]:
    return [
        _call(
            "ChangeAvailability",
            connectorId=intent.evse_number,
            type=_AVAILABILITIES[intent.availability],
        )
    ]


def _clear_cache(intent: intents.ClearCache) -> list[OutgoingCall]:
    return [_call("ClearCache")]


def _read_local_list_version(intent: intents.ReadLocalListVersion) -> list[OutgoingCall]:
    return [_call("GetLocalListVersion")]


def _set_profile(intent: intents.SetProfile) -> list[OutgoingCall]:
    return [
        _call(
            "SetChargingProfile",
            connectorId=intent.evse_number,
            csChargingProfiles=_profile(intent.profile, intent.session_id),
        )
    ]


def _profile(profile: Profile, session_id: int | None) -> JsonObject:
    """Write a profile; its limits have at most one decimal."""
    if profile.recurrency is not None:
        kind = "Recurring"
    else:
        kind = "Relative" if profile.starts_at is None else "Absolute"
    schedule = {
        "duration": profile.duration_seconds,
        "startSchedule": None if profile.starts_at is None else write_time(profile.starts_at),
        "chargingRateUnit": profile.unit.value,
        "chargingSchedulePeriod": [
            _present(
                startPeriod=period.start_seconds,
                limit=round(period.limit, 1),
                numberPhases=period.phases,
            )
            for period in profile.periods
        ],
        "minChargingRate": None if profile.minimum_rate is None else round(profile.minimum_rate, 1),
    }
    return _present(
        chargingProfileId=profile.profile_id,
        transactionId=session_id,
        stackLevel=profile.stack_level,
        chargingProfilePurpose=_PURPOSES[profile.purpose],
        chargingProfileKind=kind,
        recurrencyKind=None if profile.recurrency is None else _RECURRENCIES[profile.recurrency],
        validFrom=None if profile.valid_from is None else write_time(profile.valid_from),
        validTo=None if profile.valid_to is None else write_time(profile.valid_to),
        chargingSchedule=_present(**schedule),
    )


def _present(**members: object) -> JsonObject:
    return {name: value for name, value in members.items() if value is not None}


def _clear_profiles(intent: intents.ClearProfiles) -> list[OutgoingCall]:
    return [
        _call(
            "ClearChargingProfile",
            id=intent.profile_id,
            connectorId=intent.evse_number,
            chargingProfilePurpose=None if intent.purpose is None else _PURPOSES[intent.purpose],
            stackLevel=intent.stack_level,
        )
    ]


def _read_schedule(intent: intents.ReadSchedule) -> list[OutgoingCall]:
    return [
        _call(
            "GetCompositeSchedule",
            connectorId=intent.evse_number,
            duration=intent.seconds,
            chargingRateUnit=None if intent.unit is None else intent.unit.value,
        )
    ]


def _trigger(intent: intents.TriggerMessage) -> list[OutgoingCall]:
    if intent.message is Trigger.SIGN_CERTIFICATE:
        return [_call("ExtendedTriggerMessage", requestedMessage="SignChargePointCertificate")]
    return [
        _call(
            "TriggerMessage",
            requestedMessage=_TRIGGERS[intent.message],
            connectorId=intent.evse_number,
        )
    ]


def _triggered(arguments: JsonObject) -> str:
    """Return the action by which a charging point does what it was asked to send."""
    message = Trigger(arguments["message"])
    return "SignCertificate" if message is Trigger.SIGN_CERTIFICATE else _TRIGGERS[message]


def _trigger_otherwise(
    intent: intents.TriggerMessage, exchanges: Sequence[Exchange]
) -> list[OutgoingCall] | None:
    """Try the other form once: some models want a connector named, others refuse one."""
    (action, payload), answer = exchanges[-1]
    refused = answer is not None and answer.get("status") == "Rejected"
    if len(exchanges) > 1 or not refused or intent.message not in _OF_A_CONNECTOR:
        return None
    if intent.evse_number is None:
        return [_call(action, **payload, connectorId=1)]
    if intent.evse_number == 1:
        return [_call(action, requestedMessage=payload["requestedMessage"])]
    return None  # without a number it would send another connector's


def _update_firmware(intent: intents.UpdateFirmware, request_id: int) -> list[OutgoingCall]:
    if intent.signature is None:
        return [
            _call(
                "UpdateFirmware",
                location=intent.url,
                retrieveDate=write_time(intent.fetch_at),
                retries=intent.retries,
                retryInterval=intent.retry_seconds,
            )
        ]
    firmware = _present(
        location=intent.url,
        retrieveDateTime=write_time(intent.fetch_at),
        installDateTime=None if intent.install_at is None else write_time(intent.install_at),
        signingCertificate=intent.signing_certificate,
        signature=intent.signature,
    )
    return [
        _call(
            "SignedUpdateFirmware",
            requestId=request_id,
            firmware=firmware,
            retries=intent.retries,
            retryInterval=intent.retry_seconds,
        )
    ]


def _upload_log(intent: intents.UploadLog, request_id: int) -> list[OutgoingCall]:
    since = None if intent.since is None else write_time(intent.since)
    until = None if intent.until is None else write_time(intent.until)
    if intent.log is LogKind.DIAGNOSTICS:
        return [
            _call(
                "GetDiagnostics",
                location=intent.url,
                startTime=since,
                stopTime=until,
                retries=intent.retries,
                retryInterval=intent.retry_seconds,
            )
        ]
    return [
        _call(
            "GetLog",
            logType="SecurityLog",
            requestId=request_id,
            log=_present(remoteLocation=intent.url, oldestTimestamp=since, latestTimestamp=until),
            retries=intent.retries,
            retryInterval=intent.retry_seconds,
        )
    ]


def _install_certificate(intent: intents.InstallCertificate) -> list[OutgoingCall]:
    return [
        _call(
            "InstallCertificate",
            certificateType=_CERTIFICATE_USES[intent.use],
            certificate=intent.certificate,
        )
    ]


def _delete_certificate(intent: intents.DeleteCertificate) -> list[OutgoingCall]:
    named = intent.certificate
    hashed = {
        "hashAlgorithm": named.algorithm,
        "issuerNameHash": named.issuer_name,
        "issuerKeyHash": named.issuer_key,
        "serialNumber": named.serial_number,
    }
    return [_call("DeleteCertificate", certificateHashData=hashed)]


def _read_certificates(intent: intents.ReadCertificates) -> list[OutgoingCall]:
    return [_call("GetInstalledCertificateIds", certificateType=_CERTIFICATE_USES[intent.use])]


def _set_certificate(intent: intents.SetCertificate) -> list[OutgoingCall]:
    return [_call("CertificateSigned", certificateChain=intent.chain)]


def _set_password(intent: intents.SetPassword) -> list[OutgoingCall]:
    # Source for hex: OCPP-J 1.6 section 6.2.2.
    in_hex = intent.spelling is PasswordSpelling.HEX
    key = intent.password.encode().hex() if in_hex else intent.password
    return [_call("ChangeConfiguration", key="AuthorizationKey", value=key)]


def _send_data(intent: intents.SendData) -> list[OutgoingCall]:
    return [
        _call(
            "DataTransfer",
            vendorId=intent.vendor_id,
            messageId=intent.message_id,
            data=intent.data,
        )
    ]


def _raw_call(intent: intents.RawCall) -> list[OutgoingCall]:
    return [OutgoingCall(intent.action, dict(intent.payload))]


def _read_status(payload: JsonObject) -> Outcome:
    """Read an answer with a status, or with none: then it is one that only tells something."""
    word = payload.get("status")
    if word is None:
        return Outcome.ACCEPTED
    return _OUTCOMES.get(word, Outcome.FAILED)  # a word of its own: nobody knows what it means


def _read_reservation(payload: JsonObject) -> Outcome:
    # A charging point that rejects ReserveNow takes no reservations at all. Source: 5.13.
    outcome = _read_status(payload)
    return Outcome.NOT_OFFERED if outcome is Outcome.REJECTED else outcome


def _read_list_version(payload: JsonObject) -> Outcome:
    # Source: 5.10: -1 says that it has no local list.
    return Outcome.NOT_OFFERED if payload["listVersion"] == -1 else Outcome.ACCEPTED


def _read_certificate_list(payload: JsonObject) -> Outcome:
    # None installed is an answer, too.
    return Outcome.ACCEPTED if payload["status"] == "NotFound" else _read_status(payload)


def read_error(code: str) -> Outcome:
    """Turn the code of a CALLERROR to a command into its outcome."""
    unknown = (ErrorCode.NOT_IMPLEMENTED.value, ErrorCode.NOT_SUPPORTED.value)
    return Outcome.NOT_OFFERED if code in unknown else Outcome.FAILED


def _row(
    kind: type[I],
    plan: Plan[I],
    read: Callable[[JsonObject], Outcome] = _read_status,
    *,
    shown_by: Callable[[JsonObject], str] | None = None,
    resume: Callable[[I, Sequence[Exchange]], Sequence[OutgoingCall] | None] | None = None,
    settings: Callable[[Sequence[Exchange]], Sequence[Setting]] | None = None,
) -> tuple[CommandKind, Outgoing]:
    def intent_of(arguments: JsonObject) -> I:
        intent = intents.read_intent(kind.kind, arguments)
        assert isinstance(intent, kind)
        return intent

    def of_arguments(arguments: JsonObject) -> Sequence[OutgoingCall]:
        return plan(intent_of(arguments))

    def go_on(
        arguments: JsonObject, exchanges: Sequence[Exchange]
    ) -> Sequence[OutgoingCall] | None:
        assert resume is not None
        return resume(intent_of(arguments), exchanges)

    return kind.kind, Outgoing(of_arguments, read, shown_by, go_on if resume else None, settings)


def _followed(
    kind: type[I], plan: Callable[[I, int], Sequence[OutgoingCall]]
) -> tuple[CommandKind, Outgoing]:
    """Return the row of what is reported on later: the command's id is OCPP's requestId."""

    def of_arguments(arguments: JsonObject) -> Sequence[OutgoingCall]:
        intent = intents.read_intent(kind.kind, arguments)
        assert isinstance(intent, kind)
        return plan(intent, int(arguments.get("command_id", 0)) % 2**31)

    return kind.kind, Outgoing(of_arguments, _read_status)


OUTGOING: dict[CommandKind, Outgoing] = dict(
    (
        _row(intents.Start, _start),
        _row(intents.Stop, _stop),
        _row(intents.Reserve, _reserve, _read_reservation),
        _row(intents.CancelReservation, _cancel_reservation),
        _row(intents.Unlock, _unlock),
        _row(intents.Reset, _reset),
        _row(intents.SetAvailability, _set_availability),
        _row(intents.ReadSettings, configuration.read_settings, settings=settings_told),
        _row(intents.WriteSettings, configuration.write_settings, settings=settings_told),
        _row(intents.ClearCache, _clear_cache),
        _row(intents.SendLocalList, local_list.send, resume=local_list.go_on),
        _row(intents.ReadLocalListVersion, _read_local_list_version, _read_list_version),
        _row(intents.SetProfile, _set_profile),
        _row(intents.ClearProfiles, _clear_profiles),
        _row(intents.ReadSchedule, _read_schedule),
        _row(intents.TriggerMessage, _trigger, shown_by=_triggered, resume=_trigger_otherwise),
        _followed(intents.UpdateFirmware, _update_firmware),
        _followed(intents.UploadLog, _upload_log),
        _row(intents.InstallCertificate, _install_certificate),
        _row(intents.DeleteCertificate, _delete_certificate),
        _row(intents.ReadCertificates, _read_certificates, _read_certificate_list),
        _row(intents.SetCertificate, _set_certificate),
        _row(intents.SetPassword, _set_password),
        _row(intents.SendData, _send_data),
        _row(intents.RawCall, _raw_call),
    )
)
"""What can be asked of a charging point that speaks 1.6."""
