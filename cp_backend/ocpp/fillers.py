"""What stands for a required member that a charging point left out: tables, no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from cp_backend.ocpp.times import write_time
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
    ("StopTransaction", "transactionId"): _constant(-1),  # as after an offline start
}

# In answers to our calls nothing is made up but what changes no meaning.
_OF_ANSWERS: dict[str, Filler] = {"readonly": _constant(False)}
