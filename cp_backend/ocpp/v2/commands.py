"""OCPP 2.x: what is asked of charging points, each intent a plan of calls.

Source: OCPP 2.0.1 part 2 edition 3; all that is asked here stands in 2.1 unchanged.
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
    LocalListEntry,
    LogKind,
    Trigger,
)
from cp_backend.ocpp.actions import Exchange, Outgoing, OutgoingCall
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.times import write_time
from cp_backend.ocpp.v2 import variables
from cp_backend.ocpp.v2.profiles import PURPOSES, write_profile
from cp_backend.ocpp.v2.tokens import write_token
from cp_backend.ocpp.v2.variables import read_variable, settings_told
from cp_backend.vocabulary import JsonObject

MAX_LIST_PART = 500
"""Entries of a local list in one call: about 64 KB. The rest follows as differences."""

I = TypeVar("I", bound=Intent)  # noqa: E741
A = TypeVar("A")
Plan = Callable[[I], Sequence[OutgoingCall]]
Resume = Callable[[A, Sequence[Exchange]], Sequence[OutgoingCall] | None]

_OUTCOMES = {
    "Accepted": Outcome.ACCEPTED,
    "AcceptedCanceled": Outcome.ACCEPTED,
    "Unlocked": Outcome.ACCEPTED,
    "EmptyResultSet": Outcome.ACCEPTED,
    "NoTransaction": Outcome.ACCEPTED,
    "Scheduled": Outcome.SCHEDULED,
    "RebootRequired": Outcome.REBOOT_REQUIRED,
    "Occupied": Outcome.OCCUPIED,
    "OngoingAuthorizedTransaction": Outcome.OCCUPIED,
    "Faulted": Outcome.OUT_OF_SERVICE,
    "Unavailable": Outcome.OUT_OF_SERVICE,
    "NotSupported": Outcome.NOT_OFFERED,
    "NotImplemented": Outcome.NOT_OFFERED,
    "NotSupportedAttributeType": Outcome.NOT_OFFERED,
    "UnknownComponent": Outcome.NOT_OFFERED,
    "UnknownVariable": Outcome.NOT_OFFERED,
    "UnknownVendorId": Outcome.NOT_OFFERED,
    "UnknownMessageId": Outcome.NOT_OFFERED,
    "Rejected": Outcome.REJECTED,
    "VersionMismatch": Outcome.REJECTED,
    "NotFound": Outcome.REJECTED,
    "Unknown": Outcome.REJECTED,
    "UnknownConnector": Outcome.REJECTED,
    "UnknownTransaction": Outcome.REJECTED,
    "InvalidCertificate": Outcome.REJECTED,
    "RevokedCertificate": Outcome.REJECTED,
    "Failed": Outcome.FAILED,
    "UnlockFailed": Outcome.FAILED,
}

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
    Trigger.LOG_STATUS: "LogStatusNotification",
    Trigger.SIGN_CERTIFICATE: "SignChargingStationCertificate",
}
_LOGS = {LogKind.DIAGNOSTICS: "DiagnosticsLog", LogKind.SECURITY: "SecurityLog"}
_CERTIFICATE_USES = {
    CertificateUse.CENTRAL_SYSTEM: "CSMSRootCertificate",
    CertificateUse.MANUFACTURER: "ManufacturerRootCertificate",
    CertificateUse.V2G_ROOT: "V2GRootCertificate",
    CertificateUse.CONTRACT_ROOT: "MORootCertificate",
    CertificateUse.VEHICLE_ROOT: "OEMRootCertificate",
}


def _call(action: str, **payload: object) -> OutgoingCall:
    return OutgoingCall(action, _present(**payload))


def _present(**members: object) -> JsonObject:
    """Return an object; members that are None are left out."""
    return {name: value for name, value in members.items() if value is not None}


def _start(intent: intents.Start, request_id: int) -> list[OutgoingCall]:
    profile = None
    if intent.profile is not None:
        profile = write_profile(intent.profile, None)
    return [
        _call(
            "RequestStartTransaction",
            idToken=write_token(intent.id_tag),
            # Some charging points refuse an EVSE 0, which 1.6 allowed for "any".
            evseId=intent.evse_number or None,
            remoteStartId=request_id,
            chargingProfile=profile,
        )
    ]


def _stop(intent: intents.Stop) -> list[OutgoingCall]:
    # A session that the charging point has not named began in another version: it refuses.
    name = intent.station_session or str(intent.session_id)
    return [_call("RequestStopTransaction", transactionId=name)]


def _reserve(intent: intents.Reserve) -> list[OutgoingCall]:
    return [
        _call(
            "ReserveNow",
            id=intent.reservation_id,
            expiryDateTime=write_time(intent.expires_at),
            idToken=write_token(intent.id_tag),
            evseId=intent.evse_number or None,
        )
    ]


def _cancel_reservation(intent: intents.CancelReservation) -> list[OutgoingCall]:
    return [_call("CancelReservation", reservationId=intent.reservation_id)]


def _unlock(intent: intents.Unlock) -> list[OutgoingCall]:
    return [_call("UnlockConnector", evseId=intent.evse_number, connectorId=1)]


def _reset(intent: intents.Reset) -> list[OutgoingCall]:
    return [_call("Reset", type="Immediate" if intent.hard else "OnIdle")]


def _set_availability(intent: intents.SetAvailability) -> list[OutgoingCall]:
    return [
        _call(
            "ChangeAvailability",
            operationalStatus=_AVAILABILITIES[intent.availability],
            evse={"id": intent.evse_number} if intent.evse_number else None,
        )
    ]


def _clear_cache(intent: intents.ClearCache) -> list[OutgoingCall]:
    return [_call("ClearCache")]


def _send_local_list(intent: intents.SendLocalList) -> list[OutgoingCall]:
    """Write a list in parts; the last has the version that is asked for."""
    entries = [_list_entry(e) for e in intent.entries if not intent.full or e.allowed is not None]
    parts = [entries[n : n + MAX_LIST_PART] for n in range(0, len(entries), MAX_LIST_PART)] or [[]]
    return [
        _call(
            "SendLocalList",
            versionNumber=intent.version - (len(parts) - 1 - place),
            updateType="Full" if intent.full and place == 0 else "Differential",
            localAuthorizationList=part or None,  # an empty one is written by leaving it out
        )
        for place, part in enumerate(parts)
    ]


def _list_entry(entry: LocalListEntry) -> JsonObject:
    written: JsonObject = {"idToken": write_token(entry.id_tag)}
    if entry.allowed is not None:
        group = None if entry.group is None else {"idToken": entry.group, "type": "Central"}
        written["idTokenInfo"] = _present(
            status="Accepted" if entry.allowed else "Blocked",
            cacheExpiryDateTime=(
                None if entry.expires_at is None else write_time(entry.expires_at)
            ),
            groupIdToken=group,
        )
    return written


def _read_local_list_version(intent: intents.ReadLocalListVersion) -> list[OutgoingCall]:
    return [_call("GetLocalListVersion")]


def _set_profile(intent: intents.SetProfile) -> list[OutgoingCall]:
    name = intent.station_session
    if name is None and intent.session_id is not None:
        name = str(intent.session_id)
    return [
        _call(
            "SetChargingProfile",
            evseId=intent.evse_number,
            chargingProfile=write_profile(intent.profile, name),
        )
    ]


def _clear_profiles(intent: intents.ClearProfiles) -> list[OutgoingCall]:
    criteria = _present(
        evseId=intent.evse_number,
        chargingProfilePurpose=None if intent.purpose is None else PURPOSES[intent.purpose],
        stackLevel=intent.stack_level,
    )
    return [
        _call(
            "ClearChargingProfile",
            chargingProfileId=intent.profile_id,
            chargingProfileCriteria=criteria or None,
        )
    ]


def _read_schedule(intent: intents.ReadSchedule) -> list[OutgoingCall]:
    return [
        _call(
            "GetCompositeSchedule",
            duration=intent.seconds,
            evseId=intent.evse_number,
            chargingRateUnit=None if intent.unit is None else intent.unit.value,
        )
    ]


def _trigger(intent: intents.TriggerMessage) -> list[OutgoingCall]:
    evse: JsonObject | None = None
    if intent.evse_number:
        evse = {"id": intent.evse_number}
        if intent.message is Trigger.STATUS:
            evse["connectorId"] = 1  # F06.FR.12: a status is a connector's
    return [_call("TriggerMessage", requestedMessage=_TRIGGERS[intent.message], evse=evse)]


def _triggered(arguments: JsonObject) -> str:
    """Return the action by which a charging point does what it was asked to send."""
    message = Trigger(arguments["message"])
    return "SignCertificate" if message is Trigger.SIGN_CERTIFICATE else _TRIGGERS[message]


def _update_firmware(intent: intents.UpdateFirmware, request_id: int) -> list[OutgoingCall]:
    firmware = _present(
        location=intent.url,
        retrieveDateTime=write_time(intent.fetch_at),
        installDateTime=None if intent.install_at is None else write_time(intent.install_at),
        signingCertificate=intent.signing_certificate,
        signature=intent.signature,
    )
    return [
        _call(
            "UpdateFirmware",
            requestId=request_id,
            firmware=firmware,
            retries=intent.retries,
            retryInterval=intent.retry_seconds,
        )
    ]


def _upload_log(intent: intents.UploadLog, request_id: int) -> list[OutgoingCall]:
    log = _present(
        remoteLocation=intent.url,
        oldestTimestamp=None if intent.since is None else write_time(intent.since),
        latestTimestamp=None if intent.until is None else write_time(intent.until),
    )
    return [
        _call(
            "GetLog",
            log=log,
            logType=_LOGS[intent.log],
            requestId=request_id,
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
    use = _CERTIFICATE_USES[intent.use]
    return [_call("GetInstalledCertificateIds", certificateType=[use])]


def _set_certificate(intent: intents.SetCertificate) -> list[OutgoingCall]:
    return [_call("CertificateSigned", certificateChain=intent.chain)]


def _set_password(intent: intents.SetPassword) -> list[OutgoingCall]:
    # Source: A01: as it stands, 16 to 40 characters of a passwordString.
    variable = read_variable("SecurityCtrlr.BasicAuthPassword")
    return [
        _call("SetVariables", setVariableData=[{"attributeValue": intent.password, **variable}])
    ]


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
    for results in ("setVariableResult", "getVariableResult"):
        if results in payload:
            return _read_variables(payload[results])
    word = payload.get("status")
    if word is None:
        return Outcome.ACCEPTED
    return _OUTCOMES.get(word, Outcome.FAILED)  # a word of its own: nobody knows what it means


def _read_variables(results: list[JsonObject]) -> Outcome:
    """Return the outcome of several variables: of one that was not accepted, if there is one."""
    outcomes = [_OUTCOMES.get(each["attributeStatus"], Outcome.FAILED) for each in results]
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    if refused:
        return refused[0]
    return Outcome.REBOOT_REQUIRED if Outcome.REBOOT_REQUIRED in outcomes else Outcome.ACCEPTED


def _read_certificate_list(payload: JsonObject) -> Outcome:
    # None installed is an answer, too.
    return Outcome.ACCEPTED if payload["status"] == "NotFound" else _read_status(payload)


def _read_reservation(payload: JsonObject) -> Outcome:
    # A charging point that rejects ReserveNow takes no reservations at all. Source: H01.FR.01.
    outcome = _read_status(payload)
    return Outcome.NOT_OFFERED if outcome is Outcome.REJECTED else outcome


def read_error(code: str) -> Outcome:
    """Turn the code of a CALLERROR to a command into its outcome."""
    unknown = (ErrorCode.NOT_IMPLEMENTED.value, ErrorCode.NOT_SUPPORTED.value)
    return Outcome.NOT_OFFERED if code in unknown else Outcome.FAILED


def _row(
    kind: type[I],
    plan: Plan[I],
    read: Callable[[JsonObject], Outcome] = _read_status,
    shown_by: Callable[[JsonObject], str] | None = None,
    resume: Resume[I] | None = None,
    settings: Callable[[Sequence[Exchange]], Sequence[Setting]] | None = None,
) -> tuple[CommandKind, Outgoing]:
    def of_arguments(arguments: JsonObject) -> Sequence[OutgoingCall]:
        return plan(_intent(kind, arguments))

    return kind.kind, Outgoing(of_arguments, read, shown_by, _resumed(kind, resume), settings)


def _intent(kind: type[I], arguments: JsonObject) -> I:
    intent = intents.read_intent(kind.kind, arguments)
    assert isinstance(intent, kind)
    return intent


def _resumed(kind: type[I], resume: Resume[I] | None) -> Resume[JsonObject] | None:
    if resume is None:
        return None
    return lambda arguments, exchanges: resume(_intent(kind, arguments), exchanges)


def _followed(
    kind: type[I],
    plan: Callable[[I, int], Sequence[OutgoingCall]],
    resume: Resume[I] | None = None,
    settings: Callable[[Sequence[Exchange]], Sequence[Setting]] | None = None,
) -> tuple[CommandKind, Outgoing]:
    """Return the row of what is reported on later: the command's id is OCPP's request id."""

    def of_arguments(arguments: JsonObject) -> Sequence[OutgoingCall]:
        return plan(_intent(kind, arguments), int(arguments.get("command_id", 0)) % 2**31)

    resumed = _resumed(kind, resume)
    return kind.kind, Outgoing(of_arguments, _read_status, resume=resumed, settings=settings)


OUTGOING: dict[CommandKind, Outgoing] = dict(
    (
        _followed(intents.Start, _start),
        _row(intents.Stop, _stop),
        _row(intents.Reserve, _reserve, _read_reservation),
        _row(intents.CancelReservation, _cancel_reservation),
        _row(intents.Unlock, _unlock),
        _row(intents.Reset, _reset),
        _row(intents.SetAvailability, _set_availability),
        _followed(
            intents.ReadSettings, variables.read_settings, variables.go_on_reading, settings_told
        ),
        _row(
            intents.WriteSettings,
            variables.write_settings,
            resume=variables.go_on_writing,
            settings=settings_told,
        ),
        _row(intents.ClearCache, _clear_cache),
        _row(intents.SendLocalList, _send_local_list),
        _row(intents.ReadLocalListVersion, _read_local_list_version),
        _row(intents.SetProfile, _set_profile),
        _row(intents.ClearProfiles, _clear_profiles),
        _row(intents.ReadSchedule, _read_schedule),
        _row(intents.TriggerMessage, _trigger, shown_by=_triggered),
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
"""What can be asked of a charging point that speaks 2.x."""
