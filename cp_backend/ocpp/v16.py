"""OCPP 1.6: between its payloads and the vocabulary of the handlers, as tables by action.

Payloads have passed their schema (`schemas("v16")`) before they come here. Source: OCPP 1.6
edition 2, sections 6 and 7.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

from charging.authorization import Authorization, Decision
from charging.command import CommandKind, Outcome
from charging.evse import EvseState
from charging.session import StopCause, numbered_session
from charging.token import token_of
from cp_backend.ocpp.actions import AnyIncoming, Incoming, Outgoing, OutgoingCall
from cp_backend.ocpp.errors import CallRefusedError, ErrorCode
from cp_backend.vocabulary import (
    BootAnswer,
    Booted,
    DataTransferAnswer,
    DataTransferred,
    HeartbeatReceived,
    JsonObject,
    MeterRead,
    Noted,
    Raw,
    Reading,
    SessionEnded,
    SessionEndedAnswer,
    SessionStarted,
    SessionStartedAnswer,
    StatusReported,
    TokenPresented,
)

_ENERGY_REGISTER = "Energy.Active.Import.Register"
# Beyond this (10 GWh) a register is noise, and its sum would not fit the database for long.
_MAX_ENERGY_WH = 10**10
# An int32 is what a transactionId of ours fits, and what the database's column holds.
_MAX_INT32 = 2**31 - 1


# Source: OCPP 1.6 section 7.7 ChargePointStatus.
_STATES = {
    "Available": EvseState.AVAILABLE,
    "Preparing": EvseState.PREPARING,
    "Charging": EvseState.CHARGING,
    "SuspendedEV": EvseState.SUSPENDED_BY_VEHICLE,
    "SuspendedEVSE": EvseState.SUSPENDED_BY_STATION,
    "Finishing": EvseState.FINISHING,
    "Reserved": EvseState.RESERVED,
    "Unavailable": EvseState.UNAVAILABLE,
    "Faulted": EvseState.FAULTED,
}
# Source: OCPP 1.6 section 7.36 Reason.
_CAUSES = {
    "DeAuthorized": StopCause.NOT_AUTHORIZED,
    "EmergencyStop": StopCause.EMERGENCY_STOP,
    "EVDisconnected": StopCause.UNPLUGGED,
    "HardReset": StopCause.HARD_RESTART,
    "Local": StopCause.LOCAL,
    "Other": StopCause.OTHER,
    "PowerLoss": StopCause.POWER_LOSS,
    "Reboot": StopCause.RESTART,
    "Remote": StopCause.REMOTE,
    "SoftReset": StopCause.RESTART,
    "UnlockCommand": StopCause.UNLOCKED,
}
# Source: OCPP 1.6 section 7.2 AuthorizationStatus.
_DECISIONS = {
    Decision.ACCEPTED: "Accepted",
    Decision.BLOCKED: "Blocked",
    Decision.EXPIRED: "Expired",
    Decision.UNKNOWN: "Invalid",
    Decision.REFUSED: "Invalid",
}
_TRANSFERS = {DataTransferAnswer.UNKNOWN_VENDOR: "UnknownVendorId"}


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


def _read_boot(payload: JsonObject) -> Booted:
    return Booted(
        payload["chargePointVendor"],
        payload["chargePointModel"],
        payload.get("chargePointSerialNumber") or payload.get("chargeBoxSerialNumber"),
        payload.get("firmwareVersion"),
    )


def _read_heartbeat(payload: JsonObject) -> HeartbeatReceived:
    return _HEARTBEAT


_HEARTBEAT = HeartbeatReceived()


def _read_authorize(payload: JsonObject) -> TokenPresented:
    return TokenPresented(token_of(payload["idTag"]))


def _read_status(payload: JsonObject) -> StatusReported:
    at = payload.get("timestamp")
    return StatusReported(
        _non_negative(payload["connectorId"], "connectorId"),
        _STATES.get(payload["status"], EvseState.UNKNOWN),
        payload["status"],
        payload["errorCode"],
        read_time(at) if at else None,
    )


def _read_start(payload: JsonObject) -> SessionStarted:
    return SessionStarted(
        _non_negative(payload["connectorId"], "connectorId"),
        token_of(payload["idTag"]),
        read_time(payload["timestamp"]),
        _register(payload["meterStart"], "meterStart"),
    )


def _read_stop(payload: JsonObject) -> SessionEnded:
    reason = payload.get("reason", "Local")  # the standard's own default
    token = payload.get("idTag")
    return SessionEnded(
        numbered_session(payload["transactionId"]),
        read_time(payload["timestamp"]),
        _register(payload["meterStop"], "meterStop"),
        _CAUSES.get(reason, StopCause.OTHER),
        reason,
        None if token is None else token_of(token),
        [_read_reading(value) for value in payload.get("transactionData", ())],
        Raw("StopTransaction", payload),
    )


def _read_meter_values(payload: JsonObject) -> MeterRead:
    return MeterRead(
        _non_negative(payload["connectorId"], "connectorId"),
        numbered_session(payload.get("transactionId", 0)),
        [_read_reading(value) for value in payload["meterValue"]],
    )


def _read_reading(meter_value: JsonObject) -> Reading:
    samples = meter_value["sampledValue"]
    return Reading(read_time(meter_value["timestamp"]), _energy_wh(samples), samples)


def _energy_wh(samples: list[JsonObject]) -> int | None:
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


def _read_data_transfer(payload: JsonObject) -> DataTransferred:
    return DataTransferred(payload["vendorId"], payload.get("messageId"))


def _write_boot(answer: BootAnswer) -> JsonObject:
    return {
        "status": answer.registration.value,
        "currentTime": write_time(answer.now),
        "interval": answer.interval_seconds,
    }


def _write_heartbeat(answer: datetime) -> JsonObject:
    return {"currentTime": write_time(answer)}


def _write_authorize(answer: Authorization) -> JsonObject:
    return {"idTagInfo": _id_tag_info(answer)}


def _write_start(answer: SessionStartedAnswer) -> JsonObject:
    return {
        "transactionId": answer.session_id,
        "idTagInfo": _id_tag_info(answer.authorization),
    }


def _write_stop(answer: SessionEndedAnswer) -> JsonObject:
    if answer.authorization is None:
        return {}
    return {"idTagInfo": _id_tag_info(answer.authorization)}


def _write_data_transfer(answer: DataTransferAnswer) -> JsonObject:
    return {"status": _TRANSFERS[answer]}


def _write_noted(answer: Noted) -> JsonObject:
    return {}


def _id_tag_info(authorization: Authorization) -> JsonObject:
    info: JsonObject = {"status": _DECISIONS[authorization.decision]}
    if authorization.expires_at is not None:
        info["expiryDate"] = write_time(authorization.expires_at)
    if authorization.parent_id_tag is not None:
        info["parentIdTag"] = authorization.parent_id_tag
    return info


INCOMING: dict[str, AnyIncoming] = {
    "Authorize": Incoming(_read_authorize, _write_authorize),
    "BootNotification": Incoming(_read_boot, _write_boot),
    "DataTransfer": Incoming(_read_data_transfer, _write_data_transfer),
    "Heartbeat": Incoming(_read_heartbeat, _write_heartbeat),
    "MeterValues": Incoming(_read_meter_values, _write_noted),
    "StartTransaction": Incoming(_read_start, _write_start),
    "StatusNotification": Incoming(_read_status, _write_noted),
    "StopTransaction": Incoming(_read_stop, _write_stop),
}
"""What charging points that speak 1.6 call, as far as we support it."""

# Commands.


def _plan_remote_start(arguments: JsonObject) -> list[OutgoingCall]:
    payload = {
        "connectorId": int(arguments["evse_number"]),
        "idTag": str(arguments["id_tag"]),
    }
    return [OutgoingCall("RemoteStartTransaction", payload)]


def _plan_remote_stop(arguments: JsonObject) -> list[OutgoingCall]:
    payload = {"transactionId": int(arguments["session_id"])}
    return [OutgoingCall("RemoteStopTransaction", payload)]


def _plan_reserve(arguments: JsonObject) -> list[OutgoingCall]:
    payload = {
        "connectorId": int(arguments["evse_number"]),
        "expiryDate": write_time(datetime.fromisoformat(arguments["expires_at"])),
        "idTag": str(arguments["id_tag"]),
        "reservationId": int(arguments["reservation_id"]),
    }
    return [OutgoingCall("ReserveNow", payload)]


def _plan_cancel_reservation(arguments: JsonObject) -> list[OutgoingCall]:
    payload = {"reservationId": int(arguments["reservation_id"])}
    return [OutgoingCall("CancelReservation", payload)]


def _read_status_of(payload: JsonObject) -> Outcome:
    match payload.get("status"):
        case "Accepted":
            return Outcome.ACCEPTED
        case "Occupied":
            return Outcome.OCCUPIED
        case "Faulted" | "Unavailable":
            return Outcome.OUT_OF_SERVICE
        case _:
            return Outcome.REJECTED


def _read_reservation(payload: JsonObject) -> Outcome:
    # A charging point that rejects ReserveNow takes no reservations at all. Source: 5.13.
    outcome = _read_status_of(payload)
    return Outcome.NOT_OFFERED if outcome is Outcome.REJECTED else outcome


def read_error(code: str) -> Outcome:
    """Turn the code of a CALLERROR to a command into its outcome."""
    unknown = (ErrorCode.NOT_IMPLEMENTED.value, ErrorCode.NOT_SUPPORTED.value)
    return Outcome.NOT_OFFERED if code in unknown else Outcome.FAILED


OUTGOING: dict[CommandKind, Outgoing] = {
    CommandKind.REMOTE_START: Outgoing(_plan_remote_start, _read_status_of),
    CommandKind.REMOTE_STOP: Outgoing(_plan_remote_stop, _read_status_of),
    CommandKind.RESERVE: Outgoing(_plan_reserve, _read_reservation),
    CommandKind.CANCEL_RESERVATION: Outgoing(_plan_cancel_reservation, _read_status_of),
}
"""What can be asked of a charging point that speaks 1.6."""

SECRETS: dict[str, frozenset[str]] = {
    "GetDiagnostics": frozenset({"location"}),
    "GetLog": frozenset({"remoteLocation"}),
    "SignedUpdateFirmware": frozenset({"location"}),
    "UpdateFirmware": frozenset({"location"}),
}
"""Members that no log may hold beside those that `redaction` knows: addresses with passwords."""
