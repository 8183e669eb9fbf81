"""OCPP 1.6: reports that are answered with nothing, and kept for an operator to look up."""

from __future__ import annotations

from typing import Any

from charging.command import Done
from charging.intents import LogKind
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.v16.core import read_time, write_noted
from cp_backend.vocabulary import (
    CertificateRequestAnswer,
    CertificateRequested,
    JsonObject,
    Notice,
    NoticeKind,
)


def _request_id(payload: JsonObject) -> int | None:
    number: Any = payload.get("requestId")
    return number if isinstance(number, int) and abs(number) < 2**31 else None


# Source: OCPP 1.6 sections 7.24, 7.25; of the security extension: 5.3 UploadLogStatusEnumType.
_ENDS = {
    "AcceptedCanceled": Done.FAILED,
    "BadMessage": Done.FAILED,
    "DownloadFailed": Done.FAILED,
    "InstallationFailed": Done.FAILED,
    "InstallVerificationFailed": Done.FAILED,
    "Installed": Done.DONE,
    "InvalidSignature": Done.FAILED,
    "NotSupportedOperation": Done.FAILED,
    "PermissionDenied": Done.FAILED,
    "Uploaded": Done.DONE,
    "UploadFailed": Done.FAILED,
    "UploadFailure": Done.FAILED,
}


def _report(kind: NoticeKind, payload: JsonObject, log: LogKind | None = None) -> Notice:
    status = payload["status"]
    return Notice(
        kind,
        status,
        _request_id(payload),
        None,
        {},
        idle=status == "Idle",
        ended=_ENDS.get(status),
        log=log,
    )


def _firmware(payload: JsonObject) -> Notice:
    return _report(NoticeKind.FIRMWARE, payload)


def _diagnostics(payload: JsonObject) -> Notice:
    return _report(NoticeKind.LOG, payload, LogKind.DIAGNOSTICS)


def _log(payload: JsonObject) -> Notice:
    return _report(NoticeKind.LOG, payload, LogKind.SECURITY)


def _security(payload: JsonObject) -> Notice:
    detail = {"techInfo": payload["techInfo"]} if payload.get("techInfo") else {}
    return Notice(
        NoticeKind.SECURITY, payload["type"], None, read_time(payload["timestamp"]), detail
    )


def _sign_certificate(payload: JsonObject) -> CertificateRequested:
    return CertificateRequested(payload["csr"])


def _write_certificate_request(answer: CertificateRequestAnswer) -> JsonObject:
    return {"status": "Accepted" if answer.accepted else "Rejected"}


INCOMING: dict[str, AnyIncoming] = {
    "DiagnosticsStatusNotification": Incoming(_diagnostics, write_noted),
    "FirmwareStatusNotification": Incoming(_firmware, write_noted),
    "LogStatusNotification": Incoming(_log, write_noted),
    "SecurityEventNotification": Incoming(_security, write_noted),
    "SignCertificate": Incoming(_sign_certificate, _write_certificate_request),
    "SignedFirmwareStatusNotification": Incoming(_firmware, write_noted),
}
"""Of the firmware profile and of the security extension."""
