"""OCPP 1.6: between its payloads and our vocabulary.

Payloads have passed their schema (`schemas("v16")`) before they come here. Source: OCPP 1.6
edition 2, sections 6 and 7.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any

from charging.authorization import Authorization
from charging.command import CommandKind, Outcome
from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.ocpp.vocabulary import (
    Answer,
    BootAnswer,
    Booted,
    DataTransferAnswer,
    DataTransferred,
    HeartbeatReceived,
    Message,
    MeterRead,
    Noted,
    Reading,
    SessionEnded,
    SessionEndedAnswer,
    SessionStarted,
    SessionStartedAnswer,
    StatusReported,
    TokenPresented,
)

SUBPROTOCOL = "ocpp1.6"
SCHEMAS = "v16"

_ENERGY_REGISTER = "Energy.Active.Import.Register"
# Beyond this (10 GWh) a register is noise, and its sum would not fit the database for long.
_MAX_ENERGY_WH = 10**10
# An int32 is what a transactionId of ours fits, and what the database's column holds.
_MAX_INT32 = 2**31 - 1


def read(action: str, payload: dict[str, Any]) -> Message:
    """Turn a valid payload of a charging point's request into our vocabulary.

    Raises CallRefusedError: NotSupported for an action that OCPP 1.6 knows and we do not
    handle, PropertyConstraintViolation for a time or a number that makes no sense.
    """
    reader = _READERS.get(action)
    if reader is None:
        raise CallRefusedError(ErrorCode.NOT_SUPPORTED, f"{action} is not supported")
    return reader(payload)


def write(answer: Answer) -> dict[str, Any]:
    """Turn an answer into the payload of the CALLRESULT."""
    match answer:
        case datetime():
            return {"currentTime": write_time(answer)}
        case Noted():
            return {}
        case Authorization():
            return {"idTagInfo": _id_tag_info(answer)}
        case SessionStartedAnswer():
            return {
                "transactionId": answer.session_id,
                "idTagInfo": _id_tag_info(answer.authorization),
            }
        case SessionEndedAnswer(None):
            return {}
        case SessionEndedAnswer(authorization) if authorization is not None:
            return {"idTagInfo": _id_tag_info(authorization)}
        case BootAnswer():
            return {
                "status": answer.registration.value,
                "currentTime": write_time(answer.now),
                "interval": answer.interval_seconds,
            }
        case DataTransferAnswer():
            return {"status": answer.status}
    raise TypeError(f"no way to write {type(answer).__name__}")


def write_command(kind: CommandKind, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Turn a command into the action and payload of a CALL. Raises KeyError, ValueError."""
    match kind:
        case CommandKind.REMOTE_START:
            return "RemoteStartTransaction", {
                "connectorId": int(arguments["evse_number"]),
                "idTag": str(arguments["id_tag"]),
            }
        case CommandKind.REMOTE_STOP:
            return "RemoteStopTransaction", {"transactionId": int(arguments["session_id"])}
        case CommandKind.RESERVE:
            return "ReserveNow", {
                "connectorId": int(arguments["evse_number"]),
                "expiryDate": write_time(datetime.fromisoformat(arguments["expires_at"])),
                "idTag": str(arguments["id_tag"]),
                "reservationId": int(arguments["reservation_id"]),
            }
        case CommandKind.CANCEL_RESERVATION:
            return "CancelReservation", {"reservationId": int(arguments["reservation_id"])}
    raise ValueError(f"OCPP 1.6 has no {kind}")


def read_command_answer(action: str, payload: dict[str, Any]) -> Outcome:
    """Turn the (valid) answer to one of our commands into its outcome.

    A charging point that rejects ReserveNow does not take reservations at all. Source: OCPP 1.6
    section 5.13.
    """
    match payload.get("status"):
        case "Accepted":
            return Outcome.ACCEPTED
        case "Occupied":
            return Outcome.OCCUPIED
        case "Faulted" | "Unavailable":
            return Outcome.OUT_OF_SERVICE
        case "Rejected" if action == "ReserveNow":
            return Outcome.NOT_OFFERED
        case _:
            return Outcome.REJECTED


def read_command_error(code: str) -> Outcome:
    """Turn the code of a CALLERROR to one of our commands into its outcome."""
    unknown = (ErrorCode.NOT_IMPLEMENTED.value, ErrorCode.NOT_SUPPORTED.value)
    return Outcome.NOT_OFFERED if code in unknown else Outcome.FAILED


def write_time(time: datetime) -> str:
    """Write an aware UTC time as OCPP does: ISO 8601, milliseconds, Z."""
    return f"{time.isoformat(timespec='milliseconds')[:23]}Z"


def read_time(text: str) -> datetime:
    """Read a time. One without a zone, which charging points do send, is taken as UTC.

    Raises CallRefusedError (PropertyConstraintViolation).
    """
    try:
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise CallRefusedError(
            ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, "a timestamp is not ISO 8601"
        ) from None
    return time


def _read_boot(payload: dict[str, Any]) -> Booted:
    return Booted(
        payload["chargePointVendor"],
        payload["chargePointModel"],
        payload.get("chargePointSerialNumber") or payload.get("chargeBoxSerialNumber"),
        payload.get("firmwareVersion"),
    )


def _read_heartbeat(payload: dict[str, Any]) -> HeartbeatReceived:
    return _HEARTBEAT


_HEARTBEAT = HeartbeatReceived()


def _read_authorize(payload: dict[str, Any]) -> TokenPresented:
    return TokenPresented(payload["idTag"])


def _read_status(payload: dict[str, Any]) -> StatusReported:
    at = payload.get("timestamp")
    return StatusReported(
        _non_negative(payload["connectorId"], "connectorId"),
        payload["status"],
        payload["errorCode"],
        read_time(at) if at else None,
    )


def _read_start(payload: dict[str, Any]) -> SessionStarted:
    return SessionStarted(
        _non_negative(payload["connectorId"], "connectorId"),
        payload["idTag"],
        read_time(payload["timestamp"]),
        _register(payload["meterStart"], "meterStart"),
    )


def _read_stop(payload: dict[str, Any]) -> SessionEnded:
    return SessionEnded(
        payload["transactionId"],
        read_time(payload["timestamp"]),
        _register(payload["meterStop"], "meterStop"),
        payload.get("reason", "Local"),  # the standard's own default
        payload.get("idTag"),
        [_read_reading(value) for value in payload.get("transactionData", ())],
        payload,
    )


def _read_meter_values(payload: dict[str, Any]) -> MeterRead:
    session_id = payload.get("transactionId")
    known = session_id is not None and 0 < session_id <= _MAX_INT32
    return MeterRead(
        _non_negative(payload["connectorId"], "connectorId"),
        session_id if known else None,
        [_read_reading(value) for value in payload["meterValue"]],
    )


def _read_reading(meter_value: dict[str, Any]) -> Reading:
    samples = meter_value["sampledValue"]
    return Reading(read_time(meter_value["timestamp"]), _energy_wh(samples), samples)


def _energy_wh(samples: list[dict[str, Any]]) -> int | None:
    """Find the whole meter's energy register among samples, in Wh, None without one."""
    for sample in samples:
        if (
            sample.get("measurand", _ENERGY_REGISTER) == _ENERGY_REGISTER
            and "phase" not in sample
            and sample.get("location", "Outlet") == "Outlet"
            and sample.get("format", "Raw") == "Raw"
        ):
            text = sample["value"]
            kilo = sample.get("unit", "Wh") == "kWh"
            if not kilo and text.isascii() and text.isdigit() and len(text) < 11:
                return int(text)
            try:
                number = Decimal(text) * (1000 if kilo else 1)
                if not abs(number) <= _MAX_ENERGY_WH:  # NaN too
                    return None
                return int(number.to_integral_value(ROUND_HALF_EVEN))
            except (ArithmeticError, ValueError):  # what is no number, or beyond all bounds
                return None  # the sample itself is kept as it came
    return None


def _non_negative(number: int, name: str) -> int:
    if not 0 <= number <= _MAX_INT32:
        raise CallRefusedError(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"{name} out of range")
    return int(number)


def _register(number: int, name: str) -> int:
    # Some meters start below zero after a reset; only what cannot be stored is refused.
    if not abs(number) <= _MAX_ENERGY_WH:
        raise CallRefusedError(ErrorCode.PROPERTY_CONSTRAINT_VIOLATION, f"{name} out of range")
    return int(number)


def _read_data_transfer(payload: dict[str, Any]) -> DataTransferred:
    return DataTransferred(payload["vendorId"], payload.get("messageId"))


_READERS: dict[str, Callable[[dict[str, Any]], Message]] = {
    "Authorize": _read_authorize,
    "BootNotification": _read_boot,
    "DataTransfer": _read_data_transfer,
    "Heartbeat": _read_heartbeat,
    "MeterValues": _read_meter_values,
    "StartTransaction": _read_start,
    "StatusNotification": _read_status,
    "StopTransaction": _read_stop,
}


def _id_tag_info(authorization: Authorization) -> dict[str, Any]:
    info: dict[str, Any] = {"status": authorization.status.value}
    if authorization.expires_at is not None:
        info["expiryDate"] = write_time(authorization.expires_at)
    if authorization.parent_id_tag is not None:
        info["parentIdTag"] = authorization.parent_id_tag
    return info
