"""What stands for a required member that a charging point left out: tables, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cp_backend.ocpp.times import UNKNOWN_TIME, write_time
from cp_backend.vocabulary import JsonObject

Filler = Callable[[JsonObject, datetime], object]
"""(what came beside it, time of receipt) → what stands for the member; None: nothing can."""


def filler_of(action: str, name: str, *, answer: bool) -> Filler | None:
    """Return what fills in a member; answer: of an answer to a call of ours."""
    if answer:
        return _OF_ANSWERS.get(name)
    return _FILLERS.get((action, name)) or _FILLERS.get(("", name))


def _receipt(out: JsonObject, received_at: datetime) -> str:
    return write_time(received_at)


def _status(out: JsonObject, received_at: datetime) -> str | None:
    return "Faulted" if out.get("errorCode", "NoError") != "NoError" else None


def _error_code(out: JsonObject, received_at: datetime) -> str:
    return "OtherError" if out.get("status") == "Faulted" else "NoError"


def _event_type(out: JsonObject, received_at: datetime) -> str:
    return "Ended" if "stoppedReason" in out.get("transactionInfo", {}) else "Updated"


def _constant(value: object) -> Filler:
    return lambda out, received_at: value


# Of an action, or of any.
_FILLERS: dict[tuple[str, str], Filler] = {
    ("", "timestamp"): _receipt,
    ("", "connectorId"): _constant(0),  # the charging point as a whole
    ("", "chargePointVendor"): _constant(""),
    ("", "chargePointModel"): _constant(""),
    ("", "vendorId"): _constant(""),
    ("", "errorCode"): _error_code,
    ("", "status"): _status,
    ("MeterValues", "meterValue"): lambda out, received_at: [],
    ("StartTransaction", "idTag"): _constant(""),  # free charging: no token
    ("StartTransaction", "timestamp"): _constant(UNKNOWN_TIME),
    ("StopTransaction", "timestamp"): _constant(UNKNOWN_TIME),
    ("StopTransaction", "transactionId"): _constant(-1),  # as after an offline start
    ("Authorize", "type"): _constant("Local"),  # of a token
    ("BootNotification", "chargingStation"): lambda out, received_at: {
        "vendorName": "",
        "model": "",
    },
    ("BootNotification", "model"): _constant(""),
    ("BootNotification", "reason"): _constant("Unknown"),
    ("BootNotification", "vendorName"): _constant(""),
    ("StatusNotification", "evseId"): _constant(0),
    ("TransactionEvent", "eventType"): _event_type,
    ("TransactionEvent", "seqNo"): _constant(-1),  # no place among the others
    ("TransactionEvent", "transactionId"): _constant(""),
    ("TransactionEvent", "transactionInfo"): lambda out, received_at: {"transactionId": ""},
    ("TransactionEvent", "triggerReason"): _constant("Unknown"),
    ("TransactionEvent", "type"): _constant("Local"),
}

# In answers to our calls nothing is made up but what changes no meaning.
_OF_ANSWERS: dict[str, Filler] = {"readonly": _constant(False)}
