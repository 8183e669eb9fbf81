"""OCPP 1.6: what charging points call in the core profile, and how they are answered.

Payloads have passed their schema, or the relaxed one after they were repaired: words may be any,
registers may be missing. Source: OCPP 1.6 edition 2, sections 6 and 7.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache

from charging.authorization import Authorization, Decision
from charging.evse import EvseState
from charging.session import StopCause, numbered_session
from charging.token import token_of
from cp_backend.ocpp import times
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.meter import MAX_REGISTER_WH, read_register_wh
from cp_backend.ocpp.times import write_time
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
    "Occupied": EvseState.OCCUPIED,  # of OCPP 1.5
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
_TRANSFERS = {
    DataTransferAnswer.ACCEPTED: "Accepted",
    DataTransferAnswer.UNKNOWN_VENDOR: "UnknownVendorId",
    DataTransferAnswer.UNKNOWN_MESSAGE: "UnknownMessageId",
    DataTransferAnswer.REJECTED: "Rejected",
}


read_time = times.read_payload_time


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
        _evse(payload["connectorId"]),
        _STATES.get(payload["status"], EvseState.UNKNOWN),
        payload["status"],
        payload["errorCode"],
        read_time(at) if at else None,
    )


def _read_start(payload: JsonObject) -> SessionStarted:
    meter_start_wh, reported_meter = _register(payload.get("meterStart"))
    return SessionStarted(
        _evse(payload["connectorId"]),
        token_of(payload["idTag"]),
        read_time(payload["timestamp"]),
        meter_start_wh,
        reported_meter=reported_meter,
    )


# A session is named again in each of its readings.
_session = lru_cache(maxsize=4096)(numbered_session)


def _read_stop(payload: JsonObject) -> SessionEnded:
    reason = payload.get("reason", "Local")  # the standard's own default
    token = payload.get("idTag")
    readings = [_read_reading(value) for value in payload.get("transactionData", ())]
    meter_stop_wh, reported_meter = _register(payload.get("meterStop"))
    return SessionEnded(
        _session(payload["transactionId"]),
        read_time(payload["timestamp"]),
        meter_stop_wh,
        _CAUSES.get(reason, StopCause.OTHER),
        reason,
        None if token is None else token_of(token),
        readings,
        Raw("StopTransaction", payload),
        reported_meter=reported_meter,
    )


def _read_meter_values(payload: JsonObject) -> MeterRead:
    return MeterRead(
        _evse(payload["connectorId"]),
        _session(payload.get("transactionId", 0)),
        [_read_reading(value) for value in payload["meterValue"]],
    )


def _read_reading(meter_value: JsonObject) -> Reading:
    samples = meter_value["sampledValue"]
    return Reading(read_time(meter_value["timestamp"]), read_register_wh(samples), samples)


def _evse(number: int) -> int:
    """Return a connector's number; one that cannot be is the charging point as a whole."""
    return number if 0 <= number <= _MAX_INT32 else 0


def _register(number: float | None) -> tuple[int | None, float | None]:
    """Return a register in Wh, and as it came where that is not the same.

    Rounded half to even. None where none came, or one that cannot be.
    """
    # Some meters start below zero after a reset.
    if number is None or abs(number) > MAX_REGISTER_WH:
        return None, number
    return round(number), None if isinstance(number, int) else number


def _read_data_transfer(payload: JsonObject) -> DataTransferred:
    return DataTransferred(payload["vendorId"], payload.get("messageId"), payload.get("data"))


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


def write_noted(answer: Noted) -> JsonObject:
    """Write an answer that says nothing."""
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
    "MeterValues": Incoming(_read_meter_values, write_noted),
    "StartTransaction": Incoming(_read_start, _write_start),
    "StatusNotification": Incoming(_read_status, write_noted),
    "StopTransaction": Incoming(_read_stop, _write_stop),
}
"""Of the core profile."""
