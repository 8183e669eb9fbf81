"""Ways in which charging points deviate from OCPP 1.6, to be switched on by name.

They change frames that are about to be sent, and know nothing else of the charging point.
Collected from public reports; each is what some charging point on the market does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from charging_point_simulator.target import Handshake

Payload = dict[str, Any]
_CALL, _CALL_RESULT, _CALL_ERROR = 2, 3, 4
_READINGS = ("MeterValues", "StopTransaction")
_LONG_ID = "id-" + "0123456789" * 25


@dataclass(frozen=True)
class Deviation:
    """One way to deviate; what is None stays as it is.

    about: a sentence for a person. payload: changes a call's payload in place. frame: changes a
    frame's elements in place. text: changes the text that is sent. message_id: makes another
    id. answer: changes an answer in place, given the action. drop: actions that are never sent.
    handshake, boots, patient, replays: see `target.Handshake` and
    `station.charging_point.Options`.
    """

    about: str
    payload: Callable[[str, Payload], None] | None = None
    frame: Callable[[list[Any]], None] | None = None
    text: Callable[[list[Any], str], str] | None = None
    message_id: Callable[[int], Any] | None = None
    answer: Callable[[str, Payload], None] | None = None
    drop: tuple[str, ...] = ()
    handshake: Handshake = field(default_factory=Handshake)
    boots: bool = True
    patient: bool = True
    replays: bool = False


class Deviations:
    """The deviations of one charging point, in the order of their names as given.

    Raises ValueError for a name that there is not.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        unknown = [name for name in names if name not in DEVIATIONS]
        if unknown:
            raise ValueError(f"no deviation {unknown[0]!r}; --deviations lists them")
        # Those with a memory get one of their own.
        memories = {"relative-registers": _relative, "session-registers": _session_registers}
        self._chosen = [
            replace(DEVIATIONS[name], payload=memories[name]())
            if name in memories
            else DEVIATIONS[name]
            for name in names
        ]

    @property
    def boots(self) -> bool:
        """Whether it ever sends a boot."""
        return all(deviation.boots for deviation in self._chosen)

    @property
    def patient(self) -> bool:
        """Whether it stays when it is called before its boot is answered."""
        return all(deviation.patient for deviation in self._chosen)

    @property
    def replays(self) -> bool:
        """Whether it sends the states that it had while it was away."""
        return any(deviation.replays for deviation in self._chosen)

    @property
    def handshake(self) -> Handshake:
        """How it connects."""
        shakes = [deviation.handshake for deviation in self._chosen]
        return Handshake(
            "".join(shake.suffix for shake in shakes),
            any(shake.no_connection_header for shake in shakes),
            any(shake.no_pongs for shake in shakes),
            any(shake.compression for shake in shakes),
        )

    def message_id(self, number: int) -> Any:
        """Return the id of the charging point's call of a number."""
        result: Any = str(number)
        for deviation in self._chosen:
            if deviation.message_id is not None:
                result = deviation.message_id(number)
        return result

    def write(self, frame: list[Any], answered: str = "") -> str | None:
        """Write a frame; None for one that is lost. See `station.calls.Outgoing`."""
        frame = json.loads(json.dumps(frame))  # what is queued stays as it is
        for deviation in self._chosen:
            if frame[0] == _CALL and frame[2] in deviation.drop:
                return None
            if frame[0] == _CALL and deviation.payload is not None:
                deviation.payload(frame[2], frame[3])
            if frame[0] == _CALL_RESULT and deviation.answer is not None:
                deviation.answer(answered, frame[2])
        for deviation in self._chosen:
            if deviation.frame is not None:
                deviation.frame(frame)
        text = json.dumps(frame)
        for deviation in self._chosen:
            if deviation.text is not None:
                text = deviation.text(frame, text)
        return text


# What is in a payload.


def _every_time(change: Callable[[str], str]) -> Callable[[str, Payload], None]:
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


def _every_sample(change: Callable[[Payload], None]) -> Callable[[str, Payload], None]:
    """Return a change of every sampled value in a payload."""

    def visit(action: str, payload: Payload) -> None:
        for sample in _samples(payload) if action in _READINGS else []:
            change(sample)

    return visit


def _set(action: str, **members: Any) -> Callable[[str, Payload], None]:
    """Return a change of one action's payload: members that are put into it."""

    def change(wanted: str, payload: Payload) -> None:
        if wanted == action:
            payload.update(members)

    return change


def _remove(action: str, *names: str) -> Callable[[str, Payload], None]:
    """Return a change of one action's payload: members that are taken out of it."""

    def change(wanted: str, payload: Payload) -> None:
        if wanted == action:
            for name in names:
                payload.pop(name, None)

    return change


_started = time.time()


def _since_1970(text: str) -> str:
    return (datetime.fromisoformat("1970-01-01T00:00:00+00:00") + _uptime()).isoformat(
        timespec="seconds"
    )[:19] + "Z"


def _uptime() -> timedelta:
    return timedelta(seconds=int(time.time() - _started))


def _one_digit_hour(text: str) -> str:
    date, _, clock = text.partition("T")
    return f"{date}T{clock.removeprefix('0')}"


def _fractions(action: str, payload: Payload) -> None:
    for name in ("meterStart", "meterStop"):
        if name in payload:
            payload[name] += 0.333


def _register_backwards(action: str, payload: Payload) -> None:
    if "meterStop" in payload:
        payload["meterStop"] = min(payload["meterStop"], 1)


def _long_token(action: str, payload: Payload) -> None:
    if action == "StopTransaction":
        payload["idTag"] = (payload.get("idTag", "") + "ABCDEFGHIJKLMNOPQRSTU")[:20] + "-"


def _odd_samples(action: str, payload: Payload) -> None:
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


def _reading_as_object(action: str, payload: Payload) -> None:
    if action == "MeterValues":
        payload["meterValue"] = payload["meterValue"][0]


def _empty_readings(action: str, payload: Payload) -> None:
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            reading["sampledValue"] = []


def _value_as_number(sample: Payload) -> None:
    sample["value"] = float(sample["value"])


def _bare_register(action: str, payload: Payload) -> None:
    """Leave of a reading the register alone, with nothing but its value."""
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            registers = [s for s in reading["sampledValue"] if _is_register(s)]
            reading["sampledValue"] = [{"value": s["value"]} for s in registers]


def _two_registers(action: str, payload: Payload) -> None:
    if action == "MeterValues":
        for reading in payload["meterValue"]:
            begin = {
                "value": "0",
                "context": "Transaction.Begin",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            }
            reading["sampledValue"].insert(0, begin)


def _ampere_without_measurand(sample: Payload) -> None:
    if sample.get("unit") == "A":
        sample.pop("measurand", None)
        sample.pop("phase", None)


def _is_register(sample: Payload) -> bool:
    return sample.get("measurand") == "Energy.Active.Import.Register"


def _extra_members(action: str, payload: Payload) -> None:
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


def _null_members(action: str, payload: Payload) -> None:
    for name in _OPTIONAL.get(action, ()):
        payload.setdefault(name, None)


def _relative() -> Callable[[str, Payload], None]:
    started: dict[int, int] = {}

    def change(action: str, payload: Payload) -> None:
        connector = payload.get("connectorId", 0)
        if action == "StartTransaction":
            started[connector] = payload["meterStart"]
        for sample in _samples(payload) if action == "MeterValues" else []:
            if _is_register(sample):
                sample["value"] = str(int(sample["value"]) - started.get(connector, 0))

    return change


def _session_registers() -> Callable[[str, Payload], None]:
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


def _long_names(action: str, payload: Payload) -> None:
    if action == "BootNotification":
        payload |= {
            "chargePointVendor": "Example Industries GmbH & Co. KG",
            "chargePointModel": "XY-AC1-M3-RCM-ETH-3PN-SER-22",
            "firmwareVersion": "V1.5@25238bf+100,F8.gl,ws,ESP32,RN8213@V31-2026-03-01",
        }


def _own_errors(action: str, payload: Payload) -> None:
    if action == "StatusNotification" and payload["errorCode"] != "NoError":
        payload["errorCode"] = "Error"


def _occupied(action: str, payload: Payload) -> None:
    if action == "StatusNotification" and payload["status"] in ("Preparing", "Finishing"):
        payload["status"] = "Occupied"


# What is in an answer.


def _numbers_in_configuration(action: str, answer: Payload) -> None:
    if action != "GetConfiguration":
        return
    for key in answer.get("configurationKey", []):
        key["readonly"] = int(key["readonly"])
        if key["value"].isdigit():
            key["value"] = int(key["value"])
    answer["unknownKey"] = answer.get("unknownKey") or None


def _extra_in_answer(action: str, answer: Payload) -> None:
    answer["connectorId"] = 1


# What is in a frame or a text.


def _null_payload(frame: list[Any]) -> None:
    if frame[0] == _CALL and frame[3] == {}:
        frame[3] = None


def _list_payload(frame: list[Any]) -> None:
    if frame[0] == _CALL and frame[3] == {}:
        frame[3] = []


def _five_elements(frame: list[Any]) -> None:
    if frame[0] == _CALL:
        frame.append({})


def _null_error_code(frame: list[Any]) -> None:
    if frame[0] == _CALL_ERROR:
        frame[2] = None


def _cut_off_answer(frame: list[Any], text: str) -> str:
    return text[: len(text) // 2] if frame[0] == _CALL_RESULT else text


def _raw_nul(frame: list[Any], text: str) -> str:
    """Put a NUL into the info of a status, as a byte and not as its escape."""
    if frame[0] == _CALL and frame[2] == "StatusNotification":
        frame[3]["info"] = "ab\0"
        return json.dumps(frame).replace("\\u0000", "\0")
    return text


def _leading_comma(frame: list[Any], text: str) -> str:
    return text.replace('"sampledValue": [{', '"sampledValue": [,{')


DEVIATIONS: dict[str, Deviation] = {
    # Frames.
    "byte-order-mark": Deviation(
        "a byte order mark before every frame", text=lambda frame, text: "\ufeff" + text
    ),
    "raw-nul": Deviation("a NUL byte in the info of a status", text=_raw_nul),
    "leading-comma": Deviation("a comma before the first sample", text=_leading_comma),
    "cut-off-answers": Deviation("answers are cut in the middle", text=_cut_off_answer),
    "number-ids": Deviation("message ids are numbers", message_id=lambda number: number),
    "empty-ids": Deviation("message ids are empty", message_id=lambda number: ""),
    "long-ids": Deviation(
        "message ids have 255 characters", message_id=lambda number: f"{_LONG_ID}{number:02}"[:255]
    ),
    "five-elements": Deviation("calls have a fifth element", frame=_five_elements),
    "null-payloads": Deviation("null instead of an empty object", frame=_null_payload),
    "list-payloads": Deviation("a list instead of an empty object", frame=_list_payload),
    "null-error-codes": Deviation("errors without a code", frame=_null_error_code),
    "extra-members": Deviation("members that the schema does not have", payload=_extra_members),
    "null-members": Deviation("null for what is absent", payload=_null_members),
    # Handshakes and connections.
    "no-connection-header": Deviation(
        "a handshake without Connection", handshake=Handshake(no_connection_header=True)
    ),
    "two-slashes": Deviation("two slashes after the identity", handshake=Handshake(suffix="//")),
    "no-pongs": Deviation("pings are never answered", handshake=Handshake(no_pongs=True)),
    "offers-compression": Deviation(
        "offers permessage-deflate", handshake=Handshake(compression=True)
    ),
    "no-boot": Deviation("never sends a BootNotification", boots=False),
    "hangs-up": Deviation("hangs up when called before its boot is answered", patient=False),
    "replayed-states": Deviation(
        "sends, after a reconnect, the states that it had while away", replays=True
    ),
    # Boot.
    "long-names": Deviation("vendor, model and firmware are too long", payload=_long_names),
    "no-vendor": Deviation(
        "a boot without a vendor", payload=_remove("BootNotification", "chargePointVendor")
    ),
    # Times.
    "no-zone": Deviation(
        "times without a zone", payload=_every_time(lambda text: text.removesuffix("Z"))
    ),
    "one-digit-hours": Deviation(
        "hours below ten have a digit", payload=_every_time(_one_digit_hour)
    ),
    "lower-case-z": Deviation(
        "times end in z", payload=_every_time(lambda text: text.replace("Z", "z"))
    ),
    "clock-1970": Deviation("the clock begins in 1970", payload=_every_time(_since_1970)),
    "clock-stopped": Deviation(
        "the clock has stopped in 1970", payload=_every_time(lambda text: "1970-01-01T00:00:00Z")
    ),
    # Status.
    "own-error-codes": Deviation("an error code of its own", payload=_own_errors),
    "occupied": Deviation("the status of OCPP 1.5", payload=_occupied),
    "long-info": Deviation(
        "a sentence as info",
        payload=_set(
            "StatusNotification",
            info="The driver has left the cable plugged in for more than ten minutes.",
        ),
    ),
    # Start and stop.
    "no-token": Deviation("sessions without a token", payload=_remove("StartTransaction", "idTag")),
    "fractional-registers": Deviation("registers with a fraction", payload=_fractions),
    "lost-stop": Deviation("sessions end without a StopTransaction", drop=("StopTransaction",)),
    "stop-transaction-null": Deviation(
        "a stop without a transaction", payload=_set("StopTransaction", transactionId=None)
    ),
    "stop-transaction-minus-one": Deviation(
        "a stop of transaction -1", payload=_set("StopTransaction", transactionId=-1)
    ),
    "long-tokens": Deviation("a token of 21 characters at the stop", payload=_long_token),
    "own-reasons": Deviation(
        "a reason of its own", payload=_set("StopTransaction", reason="StoppedByEV")
    ),
    "odd-samples": Deviation("odd samples among good ones at the stop", payload=_odd_samples),
    "register-backwards": Deviation("the register is 1 at the stop", payload=_register_backwards),
    # Readings.
    "readings-transaction-zero": Deviation(
        "readings of transaction 0", payload=_set("MeterValues", transactionId=0)
    ),
    "reading-as-object": Deviation("one reading, not in a list", payload=_reading_as_object),
    "empty-readings": Deviation("readings without samples", payload=_empty_readings),
    "number-values": Deviation("values are numbers", payload=_every_sample(_value_as_number)),
    "bare-registers": Deviation("registers with nothing but a value", payload=_bare_register),
    "two-registers": Deviation("two registers in a reading", payload=_two_registers),
    "ampere-without-measurand": Deviation(
        "ampere without a measurand", payload=_every_sample(_ampere_without_measurand)
    ),
    "relative-registers": Deviation("readings count from each session's start"),
    "session-registers": Deviation("all registers count from each session's start"),
    # Answers.
    "numbers-in-configuration": Deviation(
        "numbers for texts and booleans in GetConfiguration", answer=_numbers_in_configuration
    ),
    "extra-in-answers": Deviation("members that answers do not have", answer=_extra_in_answer),
}


def listing() -> str:
    """Return all deviations, a line each."""
    width = max(map(len, DEVIATIONS))
    return "\n".join(f"{name:<{width}}  {d.about}" for name, d in sorted(DEVIATIONS.items()))
