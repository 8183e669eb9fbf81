"""OCPP 2.x: what charging points call in every day's life, and how they are answered.

Payloads have passed their schema, or the relaxed one after they were repaired. 2.1 has all that
2.0.1 has, with the same required members, so one reader serves both. Source: OCPP 2.0.1 part 2
edition 3, and 2.1 part 2.
"""

from __future__ import annotations

from datetime import datetime

import orjson

from charging.evse import EvseState
from charging.session import SessionReference
from cp_backend.ocpp.actions import AnyIncoming, Incoming
from cp_backend.ocpp.times import read_payload_time, write_time
from cp_backend.ocpp.v2.samples import read_readings
from cp_backend.vocabulary import (
    BootAnswer,
    Booted,
    DataTransferAnswer,
    DataTransferred,
    HeartbeatReceived,
    JsonObject,
    MeterRead,
    Noted,
    StatusReported,
)

MAX_INT32 = 2**31 - 1

# Source: ConnectorStatusEnumType.
STATES = {
    "Available": EvseState.AVAILABLE,
    "Occupied": EvseState.OCCUPIED,
    "Reserved": EvseState.RESERVED,
    "Unavailable": EvseState.UNAVAILABLE,
    "Faulted": EvseState.FAULTED,
}
NO_ERROR = "NoError"
"""What 1.6 reports beside a status; 2.x has no such word in its own."""

_TRANSFERS = {
    DataTransferAnswer.ACCEPTED: "Accepted",
    DataTransferAnswer.UNKNOWN_VENDOR: "UnknownVendorId",
    DataTransferAnswer.UNKNOWN_MESSAGE: "UnknownMessageId",
    DataTransferAnswer.REJECTED: "Rejected",
}
_HEARTBEAT = HeartbeatReceived()
_NO_SESSION = SessionReference()


def _read_boot(payload: JsonObject) -> Booted:
    station = payload["chargingStation"]
    return Booted(
        station["vendorName"],
        station["model"],
        station.get("serialNumber"),
        station.get("firmwareVersion"),
    )


def _read_heartbeat(payload: JsonObject) -> HeartbeatReceived:
    return _HEARTBEAT


def _read_status(payload: JsonObject) -> StatusReported:
    return read_connector_status(
        payload["evseId"], payload["connectorId"], payload["connectorStatus"], payload["timestamp"]
    )


def read_connector_status(evse: int, connector: int, word: str, timestamp: str) -> StatusReported:
    """Read how a connector of an EVSE is."""
    return StatusReported(
        number(evse),
        STATES.get(word, EvseState.UNKNOWN),
        word,
        "OtherError" if word == "Faulted" else NO_ERROR,
        read_payload_time(timestamp),
        number(connector),
    )


def _read_meter_values(payload: JsonObject) -> MeterRead:
    return MeterRead(number(payload["evseId"]), _NO_SESSION, read_readings(payload["meterValue"]))


def number(value: int) -> int:
    """Return an EVSE's or connector's number; one that cannot be is 0: all of them."""
    return value if 0 <= value <= MAX_INT32 else 0


def _read_data_transfer(payload: JsonObject) -> DataTransferred:
    data = payload.get("data")  # any JSON value, where 1.6 has a text
    if data is not None and not isinstance(data, str):
        data = orjson.dumps(data).decode()
    return DataTransferred(payload["vendorId"], payload.get("messageId"), data)


def _write_boot(answer: BootAnswer) -> JsonObject:
    return {
        "currentTime": write_time(answer.now),
        "interval": answer.interval_seconds,
        "status": answer.registration.value,
    }


def _write_heartbeat(answer: datetime) -> JsonObject:
    return {"currentTime": write_time(answer)}


def _write_data_transfer(answer: DataTransferAnswer) -> JsonObject:
    return {"status": _TRANSFERS[answer]}


def write_noted(answer: Noted) -> JsonObject:
    """Write an answer that says nothing."""
    return {}


INCOMING: dict[str, AnyIncoming] = {
    "BootNotification": Incoming(_read_boot, _write_boot),
    "DataTransfer": Incoming(_read_data_transfer, _write_data_transfer),
    "Heartbeat": Incoming(_read_heartbeat, _write_heartbeat),
    "MeterValues": Incoming(_read_meter_values, write_noted),
    "StatusNotification": Incoming(_read_status, write_noted),
}
"""Of every day."""
