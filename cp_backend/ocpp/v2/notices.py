"""OCPP 2.x: reports that are kept for an operator to look up, and questions that we refuse.

Most are answered with nothing. Those that owe an answer get the one that asks for nothing more of
the charging point. Source: OCPP 2.0.1 part 2 edition 3, and 2.1 part 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from charging.command import Done
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.times import read_payload_time
from cp_backend.ocpp.v2.core import read_connector_status, write_noted
from cp_backend.ocpp.v2.variables import settings_reported
from cp_backend.vocabulary import (
    CertificateRequestAnswer,
    CertificateRequested,
    EventsReported,
    JsonObject,
    Noted,
    Notice,
    NoticeKind,
    StatusReported,
)

_TIMES = ("timestamp", "generatedAt", "settlementTime", "timeBase")

# Source: FirmwareStatusEnumType, UploadLogStatusEnumType, PublishFirmwareStatusEnumType.
_ENDS = {
    "AcceptedCanceled": Done.FAILED,
    "BadMessage": Done.FAILED,
    "DownloadFailed": Done.FAILED,
    "InstallationFailed": Done.FAILED,
    "InstallVerificationFailed": Done.FAILED,
    "Installed": Done.DONE,
    "InvalidChecksum": Done.FAILED,
    "InvalidSignature": Done.FAILED,
    "NotSupportedOperation": Done.FAILED,
    "PermissionDenied": Done.FAILED,
    "Published": Done.DONE,
    "PublishFailed": Done.FAILED,
    "Uploaded": Done.DONE,
    "UploadFailure": Done.FAILED,
}

Write = Callable[[Noted], JsonObject]


def _read(kind: NoticeKind, status: str, payload: JsonObject) -> Notice:
    """Read a report. status: the member that says most of it, '' for none."""
    request_id = payload.get("requestId")
    if request_id is not None and not 0 <= request_id < 2**31:
        request_id = None
    time = next((payload[name] for name in _TIMES if name in payload), None)
    word = str(payload.get(status, ""))
    ends = kind in (NoticeKind.FIRMWARE, NoticeKind.LOG)
    left_out = {status, "requestId", "customData", *_TIMES}
    return Notice(
        kind,
        word,
        request_id,
        None if time is None else read_payload_time(time),
        {name: value for name, value in payload.items() if name not in left_out},
        idle=word == "Idle",
        ended=_ENDS.get(word) if ends else None,
    )


def _row(
    kind: NoticeKind, status: str = "", write: Write = write_noted, refuses: str = ""
) -> AnyIncoming:
    return Incoming(partial(_read, kind, status), write, refuses)


def _constant(**payload: object) -> Write:
    return lambda answer: dict(payload)


def _read_report(payload: JsonObject) -> Notice:
    """Read a part of a report of the device model, whose actual values are settings."""
    notice = _read(NoticeKind.VARIABLES, "", payload)
    return replace(notice, settings=settings_reported(payload))


def _read_events(payload: JsonObject) -> EventsReported:
    """Read events of the device model; of a connector's availability they are its status.

    2.1 reports that so instead of by StatusNotification.
    """
    statuses: list[StatusReported] = []
    for event in payload["eventData"]:
        component, variable = event["component"], event["variable"]["name"]
        evse = component.get("evse")
        if component["name"] == "Connector" and variable == "AvailabilityState" and evse:
            statuses.append(
                read_connector_status(
                    evse["id"],
                    evse.get("connectorId", 1),
                    event["actualValue"],
                    event["timestamp"],
                )
            )
    return EventsReported(_read(NoticeKind.EVENT, "", payload), statuses)


def _sign_certificate(payload: JsonObject) -> CertificateRequested:
    of_vehicles = payload.get("certificateType") == "V2GCertificate"
    return CertificateRequested(payload["csr"], of_vehicles)


def _write_certificate_request(answer: CertificateRequestAnswer) -> JsonObject:
    return {"status": "Accepted" if answer.accepted else "Rejected"}


def _refuse_vat_number(answer: Noted) -> JsonObject:
    assert answer.notice is not None
    detail = answer.notice.detail
    refusal = {"status": "Rejected", "vatNumber": detail["vatNumber"][:_MAX_VAT_NUMBER]}
    return refusal | ({"evseId": detail["evseId"]} if detail.get("evseId", -1) >= 0 else {})


_MAX_VAT_NUMBER = 20  # of what we write; what is read may be longer
_REJECTED = _constant(status="Rejected")

INCOMING: dict[str, AnyIncoming] = {
    "ClearedChargingLimit": _row(NoticeKind.CHARGING_LIMIT, "chargingLimitSource"),
    "FirmwareStatusNotification": _row(NoticeKind.FIRMWARE, "status"),
    "LogStatusNotification": _row(NoticeKind.LOG, "status"),
    "NotifyChargingLimit": _row(NoticeKind.CHARGING_LIMIT),
    "NotifyCustomerInformation": _row(NoticeKind.CUSTOMER_INFORMATION),
    "NotifyDisplayMessages": _row(NoticeKind.DISPLAY_MESSAGES),
    "NotifyEVChargingNeeds": _row(
        NoticeKind.CHARGING_NEEDS, "", _REJECTED, "no schedule is computed for one vehicle's needs"
    ),
    "NotifyEVChargingSchedule": _row(NoticeKind.CHARGING_NEEDS, "", _constant(status="Accepted")),
    "NotifyEvent": Incoming(_read_events, write_noted),
    "NotifyMonitoringReport": _row(NoticeKind.MONITORS),
    "NotifyReport": Incoming(_read_report, write_noted),
    "PublishFirmwareStatusNotification": _row(NoticeKind.FIRMWARE, "status"),
    "ReportChargingProfiles": _row(NoticeKind.CHARGING_PROFILES, "chargingLimitSource"),
    "ReservationStatusUpdate": _row(NoticeKind.RESERVATION, "reservationUpdateStatus"),
    "SecurityEventNotification": _row(NoticeKind.SECURITY, "type"),
    "SignCertificate": Incoming(_sign_certificate, _write_certificate_request),
}
"""Of 2.0.1, and of 2.1 too."""

INCOMING_V21: dict[str, AnyIncoming] = {
    "BatterySwap": _row(NoticeKind.BATTERY_SWAP, "eventType"),
    "ClosePeriodicEventStream": _row(NoticeKind.EVENT),
    "NotifyDERAlarm": _row(NoticeKind.GRID, "controlType"),
    "NotifyDERStartStop": _row(NoticeKind.GRID),
    "NotifyPriorityCharging": _row(NoticeKind.CHARGING_NEEDS),
    "NotifySettlement": _row(NoticeKind.PAYMENT, "status"),
    "OpenPeriodicEventStream": _row(
        NoticeKind.EVENT, "", _REJECTED, "streams are asked for by us, as raw calls"
    ),
    "PullDynamicScheduleUpdate": _row(
        NoticeKind.CHARGING_NEEDS,
        "",
        _REJECTED,
        "dynamic schedules are sent as raw calls, not kept",
    ),
    "ReportDERControl": _row(NoticeKind.GRID),
    "VatNumberValidation": _row(
        NoticeKind.PAYMENT, "", _refuse_vat_number, "no register of VAT numbers is asked"
    ),
}
"""Of 2.1 alone."""

UNANSWERED_V21: dict[str, AnyIncoming] = {
    "NotifyPeriodicEventStream": _row(NoticeKind.EVENT),
}
"""Of 2.1, sent in a frame that is never answered, not even when it cannot be read."""
