"""Changes of payloads: of calls, and of answers to commands. All change in place."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from charging_point_simulator.deviations.deviation import Payload

_READINGS = ("MeterValues", "StopTransaction")


def every_time(change: Callable[[str], str]) -> Callable[[str, Payload], None]:
    """Return a change of every time in a payload."""

    def visit(value: Any) -> None:
        if isinstance(value, list):
            for member in value:
                visit(member)
        elif isinstance(value, dict):
            for name, member in value.items():
                if name == "timestamp" and isinstance(member, str):
                    value[name] = change(member)
                else:
                    visit(member)

    return lambda action, payload: visit(payload)


def _samples(payload: Payload) -> list[Payload]:
    readings = payload.get("meterValue") or payload.get("transactionData") or []
    return [sample for reading in readings for sample in reading["sampledValue"]]


def every_sample(change: Callable[[Payload], None]) -> Callable[[str, Payload], None]:
    """Return a change of every sampled value in a payload."""

    def visit(action: str, payload: Payload) -> None:
        for sample in _samples(payload) if action in _READINGS else []:
            change(sample)

    return visit


def put(action: str, **members: Any) -> Callable[[str, Payload], None]:
    """Return a change of one action's payload: members that are put into it."""

    def change(wanted: str, payload: Payload) -> None:
        if wanted == action:
            payload.update(members)

    return change


def remove(action: str, *names: str) -> Callable[[str, Payload], None]:
    """Return a change of one action's payload: members that are taken out of it."""

    def change(wanted: str, payload: Payload) -> None:
        if wanted == action:
            for name in names:
                payload.pop(name, None)

    return change


_started = time.time()


def since_1970(text: str) -> str:
    """Return the time since the start of the program, in 1970."""
    return (datetime.fromisoformat("1970-01-01T00:00:00+00:00") + _uptime()).isoformat(
        timespec="seconds"
    )[:19] + "Z"


def _uptime() -> timedelta:
    return timedelta(seconds=int(time.time() - _started))


def one_digit_hour(text: str) -> str:
    """Return a time whose hour has one digit where it can."""
    date, _, clock = text.partition("T")
    return f"{date}T{clock.removeprefix('0')}"


def fractions(action: str, payload: Payload) -> None:
    """Give registers at start and stop a fraction."""
    for name in ("meterStart", "meterStop"):
        if name in payload:
            payload[name] += 0.333


def register_backwards(action: str, payload: Payload) -> None:
    """Let the register be 1 at the stop."""
    if "meterStop" in payload:
        payload["meterStop"] = min(payload["meterStop"], 1)


def long_token(action: str, payload: Payload) -> None:
    """Let the token at the stop have 21 characters."""
    if action == "StopTransaction":
        payload["idTag"] = (payload.get("idTag", "") + "ABCDEFGHIJKLMNOPQRSTU")[:20] + "-"


def odd_samples(action: str, payload: Payload) -> None:
    """Put odd samples beside a good one at the stop."""
    if action != "StopTransaction":
        return
    good = {
        "value": str(payload["meterStop"]),
        "context": "Transaction.End",
        "measurand": "Energy.Active.Import.Register",
        "unit": "Wh",
    }
    odd = [
        {"value": "49.97", "measurand": "Frequency", "unit": "Hz"},
        {"value": "16.000", "context": "CurrentMax", "unit": "A"},
    ]
    reading = {"timestamp": payload["timestamp"], "sampledValue": [good, *odd]}
    payload["transactionData"] = [*payload.get("transactionData", []), reading]


def reading_as_object(action: str, payload: Payload) -> None:
    """Take the one reading out of its list."""
    if action == "MeterValues":
        payload["meterValue"] = payload["meterValue"][0]


def empty_readings(action: str, payload: Payload) -> None:
    """Take the samples out of readings."""
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            reading["sampledValue"] = []


def value_as_number(sample: Payload) -> None:
    """Make a sample's value a number."""
    sample["value"] = float(sample["value"])


def bare_register(action: str, payload: Payload) -> None:
    """Leave of a reading the register alone, with nothing but its value."""
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            registers = [s for s in reading["sampledValue"] if _is_register(s)]
            reading["sampledValue"] = [{"value": s["value"]} for s in registers]


def two_registers(action: str, payload: Payload) -> None:
    """Put a register of 0 at the beginning before others."""
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            begin = {
                "value": "0",
                "context": "Transaction.Begin",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            }
            reading["sampledValue"].insert(0, begin)


def ampere_without_measurand(sample: Payload) -> None:
    """Take measurand and phase from currents."""
    if sample.get("unit") == "A":
        sample.pop("measurand", None)
        sample.pop("phase", None)


def _is_register(sample: Payload) -> bool:
    return sample.get("measurand") == "Energy.Active.Import.Register"


def extra_members(action: str, payload: Payload) -> None:
    """Put members into payloads that have none of the kind."""
    if action == "Authorize":
        payload["connectorId"] = 1
    elif action == "Heartbeat":
        payload["currentTime"] = "2026-03-01T10:00:00Z"
    elif action == "StopTransaction":
        payload |= {"connectorId": 1, "disconnectReason": "EVDisconnected"}
    else:
        payload["vendorData"] = {"firmware": "EX"}


_OPTIONAL = {
    "BootNotification": ("iccid", "imsi", "meterType", "meterSerialNumber"),
    "StartTransaction": ("reservationId",),
    "StatusNotification": ("info", "vendorId", "vendorErrorCode"),
    "StopTransaction": ("idTag", "reason", "transactionData"),
}


def null_members(action: str, payload: Payload) -> None:
    """Put null for optional members that are absent."""
    for name in _OPTIONAL.get(action, ()):
        payload.setdefault(name, None)


def relative_registers() -> Callable[[str, Payload], None]:
    """Return a change after which readings count from each session's start."""
    started: dict[int, int] = {}

    def change(action: str, payload: Payload) -> None:
        connector = payload.get("connectorId", 0)
        if action == "StartTransaction":
            started[connector] = payload["meterStart"]
        for sample in _samples(payload) if action == "MeterValues" else []:
            if _is_register(sample):
                sample["value"] = str(int(sample["value"]) - started.get(connector, 0))

    return change


def session_registers() -> Callable[[str, Payload], None]:
    """Return a change after which all registers count from each session's start."""
    started: dict[int, int] = {}
    latest = 0

    def change(action: str, payload: Payload) -> None:
        nonlocal latest
        if action == "StartTransaction":
            latest = payload["connectorId"]
            started[latest] = payload["meterStart"]
            payload["meterStart"] = 0
        begin = started.get(payload.get("connectorId", latest), 0)
        if action == "StopTransaction":
            payload["meterStop"] -= begin
        for sample in _samples(payload) if action in _READINGS else []:
            if _is_register(sample):
                sample["value"] = str(int(sample["value"]) - begin)

    return change


def long_names(action: str, payload: Payload) -> None:
    """Make vendor, model and firmware too long."""
    if action == "BootNotification":
        payload |= {
            "chargePointVendor": "Example Industries GmbH & Co. KG",
            "chargePointModel": "XY-AC1-M3-RCM-ETH-3PN-SER-22",
            "firmwareVersion": "V1.5@25238bf+100,F8.gl,ws,ESP32,RN8213@V31-2026-03-01",
        }


def own_errors(action: str, payload: Payload) -> None:
    """Report an error code of its own."""
    if action == "StatusNotification" and payload["errorCode"] != "NoError":
        payload["errorCode"] = "Error"


def occupied(action: str, payload: Payload) -> None:
    """Report the status of OCPP 1.5."""
    if action == "StatusNotification" and payload["status"] in ("Preparing", "Finishing"):
        payload["status"] = "Occupied"


def other_connector(action: str, payload: Payload) -> None:
    """Report sessions at the other of two connectors."""
    if action == "StartTransaction":
        payload["connectorId"] = 2 if payload["connectorId"] == 1 else 1


# What is in an answer.


def numbers_in_configuration(action: str, answer: Payload) -> None:
    """Put numbers for texts and booleans into GetConfiguration's answer."""
    if action != "GetConfiguration":
        return
    for key in answer.get("configurationKey", []):
        key["readonly"] = int(key["readonly"])
        if key["value"].isdigit():
            key["value"] = int(key["value"])
    answer["unknownKey"] = answer.get("unknownKey") or None


def extra_in_answer(action: str, answer: Payload) -> None:
    """Put a member into every answer."""
    answer["connectorId"] = 1
