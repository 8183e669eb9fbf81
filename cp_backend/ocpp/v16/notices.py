"""OCPP 1.6: reports that are answered with nothing, and kept for an operator to look up."""

from __future__ import annotations

from typing import Any

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


def _firmware(payload: JsonObject) -> Notice:
    return Notice(NoticeKind.FIRMWARE, payload["status"], _request_id(payload), None, {})


def _log(payload: JsonObject) -> Notice:
    return Notice(NoticeKind.LOG, payload["status"], _request_id(payload), None, {})


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
    "DiagnosticsStatusNotification": Incoming(_log, write_noted),
    "FirmwareStatusNotification": Incoming(_firmware, write_noted),
    "LogStatusNotification": Incoming(_log, write_noted),
    "SecurityEventNotification": Incoming(_security, write_noted),
    "SignCertificate": Incoming(_sign_certificate, _write_certificate_request),
    "SignedFirmwareStatusNotification": Incoming(_firmware, write_noted),
}
"""Of the firmware profile and of the security extension."""
