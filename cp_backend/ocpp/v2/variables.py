"""OCPP 2.x: reading and writing variables of the device model.

They are named as ``Component.Variable``, so that they stand in the same table, templates and
commands as the configuration keys of 1.6. Source: OCPP 2.0.1 part 2, use cases B05 to B08.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import orjson

from charging import intents
from charging.command import Setting
from charging.intent_json import InvalidIntentError
from cp_backend.ocpp.actions import Exchange, OutgoingCall
from cp_backend.vocabulary import JsonObject

MAX_VARIABLES = 20
"""Variables in one call, where a charging point has not told its own ItemsPerMessage."""
MAX_VARIABLES_BYTES = 4096
"""… and bytes, where it has not told BytesPerMessage. Source: DeviceDataCtrlr."""
ASKED_ABOVE = 4
"""Variables that every charging point takes at once: for more its limits are asked first."""

_LIMITS = ("ItemsPerMessage", "BytesPerMessage")
_PASSWORD = "securityctrlr.basicauthpassword"  # noqa: S105 - a variable's name
_TAKEN = {"Accepted": False, "RebootRequired": True}
_UNKNOWN = ("UnknownComponent", "UnknownVariable")
_NAME = re.compile(
    r"([^.@\[\]]+)(?:\[([^\]]*)\])?(?:@(\d{1,9})(?:\.(\d{1,9}))?)?\.([^.@\[\]]+)(?:\[([^\]]*)\])?"
)


def read_variable(name: str) -> JsonObject:
    """Read ``Component.Variable`` as a call names a variable.

    The component, and the variable, may have an instance in brackets, the component an EVSE and
    a connector behind ``@``: ``SmartChargingCtrlr.LimitChangeSignificance``,
    ``Connector@1.2.AvailabilityState``, ``OCPPCommCtrlr.MessageTimeout[Default]``.
    Raises InvalidIntentError.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise InvalidIntentError("names", f"{name}: must be Component.Variable")
    component, instance, evse, connector, variable, of_variable = found.groups()
    written = {"component": _named(component, instance), "variable": _named(variable, of_variable)}
    if evse is not None:
        place = {"id": int(evse)}
        written["component"]["evse"] = place | (
            {"connectorId": int(connector)} if connector else {}
        )
    return written


def _named(name: str, instance: str | None) -> JsonObject:
    return {"name": name} if instance is None else {"name": name, "instance": instance}


def name_of(described: JsonObject) -> str:
    """Return the name of what has a component and a variable: what `read_variable` reads."""
    component, variable = described["component"], described["variable"]
    place = ""
    if (evse := component.get("evse")) is not None:
        place = f"@{evse['id']}"
        if "connectorId" in evse:
            place += f".{evse['connectorId']}"
    return f"{_bracketed(component)}{place}.{_bracketed(variable)}"


def _bracketed(named: JsonObject) -> str:
    return f"{named['name']}[{named['instance']}]" if "instance" in named else str(named["name"])


def read_settings(intent: intents.ReadSettings, request_id: int) -> list[OutgoingCall]:
    """Plan to read variables; none named: let the charging point report all that can be set."""
    if not intent.names:
        report = {"requestId": request_id, "reportBase": "ConfigurationInventory"}
        return [OutgoingCall("GetBaseReport", report)]
    return _ask_limits("GetVariables", len(intent.names)) or _reads(intent)


def go_on_reading(
    intent: intents.ReadSettings, exchanges: Sequence[Exchange]
) -> Sequence[OutgoingCall] | None:
    """Return the reading calls, once the limits are known."""
    asked = len(exchanges) == 1 and _ask_limits("GetVariables", len(intent.names))
    return _reads(intent, *_limits_told(exchanges[0])) if asked else None


def write_settings(intent: intents.WriteSettings) -> list[OutgoingCall]:
    """Plan to write variables. Raises ValueError for a password."""
    if any(name.lower() == _PASSWORD for name in intent.values):
        raise ValueError("values.BasicAuthPassword: is a password, which set-password changes")
    writes = _writes(intent)  # which raises for a name that is none, before anything is asked
    return _ask_limits("SetVariables", len(intent.values)) or writes


def go_on_writing(
    intent: intents.WriteSettings, exchanges: Sequence[Exchange]
) -> Sequence[OutgoingCall] | None:
    """Return the writing calls, once the limits are known."""
    asked = len(exchanges) == 1 and _ask_limits("SetVariables", len(intent.values))
    return _writes(intent, *_limits_told(exchanges[0])) if asked else None


def _ask_limits(action: str, variables: int) -> list[OutgoingCall]:
    if variables <= ASKED_ABOVE:
        return []
    names = [f"DeviceDataCtrlr.{limit}[{action}]" for limit in _LIMITS]
    return [OutgoingCall("GetVariables", {"getVariableData": [read_variable(n) for n in names]})]


def _limits_told(exchange: Exchange) -> tuple[int, int]:
    told = {"ItemsPerMessage": MAX_VARIABLES, "BytesPerMessage": MAX_VARIABLES_BYTES}
    for result in (exchange.answer or {}).get("getVariableResult", ()):
        value = str(result.get("attributeValue", "")).strip()
        if result["attributeStatus"] == "Accepted" and value.isdecimal() and int(value) > 0:
            told[result["variable"]["name"]] = int(value)
    return told["ItemsPerMessage"], told["BytesPerMessage"]


def _reads(
    intent: intents.ReadSettings, most: int = MAX_VARIABLES, most_bytes: int = MAX_VARIABLES_BYTES
) -> list[OutgoingCall]:
    return [
        OutgoingCall("GetVariables", {"getVariableData": part})
        for part in _parts(map(read_variable, intent.names), most, most_bytes)
    ]


def _writes(
    intent: intents.WriteSettings, most: int = MAX_VARIABLES, most_bytes: int = MAX_VARIABLES_BYTES
) -> list[OutgoingCall]:
    data = (
        {"attributeValue": value, **read_variable(name)} for name, value in intent.values.items()
    )
    return [
        OutgoingCall("SetVariables", {"setVariableData": part})
        for part in _parts(data, most, most_bytes)
    ]


# Around the list: [2, an id, an action, {"setVariableData": []}].
_ENVELOPE_BYTES = 100


def _parts(variables: Iterable[JsonObject], most: int, most_bytes: int) -> list[list[JsonObject]]:
    """Return variables in parts that a charging point takes at once, by number and by bytes."""
    parts: list[list[JsonObject]] = []
    room = 0
    for variable in variables:
        size = len(orjson.dumps(variable)) + 1
        if not parts or len(parts[-1]) >= most or size > room:
            parts.append([])
            room = most_bytes - _ENVELOPE_BYTES
        parts[-1].append(variable)
        room -= size
    return parts


def settings_told(exchanges: Sequence[Exchange]) -> list[Setting]:
    """Return what answers tell of variables: those that were read, and those that were taken."""
    told: list[Setting] = []
    for call, answer in exchanges:
        if answer is None:
            continue
        if call.action == "SetVariables":
            told += _taken(call.payload["setVariableData"], answer["setVariableResult"])
        elif call.action == "GetVariables":
            told += _read(answer["getVariableResult"])
    return told


def _taken(sent: Sequence[JsonObject], results: Sequence[JsonObject]) -> list[Setting]:
    values = {name_of(each).lower(): each["attributeValue"] for each in sent}
    return [
        _setting(name, values[name.lower()], None, after_restart=_TAKEN[result["attributeStatus"]])
        for result in results
        if result["attributeStatus"] in _TAKEN and (name := name_of(result)).lower() in values
    ]


def _read(results: Sequence[JsonObject]) -> list[Setting]:
    told = []
    for result in results:
        if result.get("attributeType", "Actual") != "Actual":
            continue
        name, status = name_of(result), result["attributeStatus"]
        if status == "Accepted":
            told.append(_setting(name, result.get("attributeValue", ""), None))
        elif status in _UNKNOWN:
            told.append(Setting(name, offered=False))
    return told


def settings_reported(report: JsonObject) -> tuple[Setting, ...]:
    """Return the actual values in a NotifyReport."""
    told = []
    for each in report.get("reportData", ()):
        for attribute in each["variableAttribute"]:
            if attribute.get("type", "Actual") != "Actual":
                continue
            mutability = attribute.get("mutability", "ReadWrite")  # the standard's own default
            value = None if mutability == "WriteOnly" else attribute.get("value", "")
            told.append(_setting(name_of(each), value, mutability == "ReadOnly"))
    return tuple(told)


def _setting(
    name: str, value: str | None, readonly: bool | None, *, after_restart: bool = False
) -> Setting:
    secret = name.lower() == _PASSWORD
    return Setting(name, None if secret else value, readonly, after_restart)
