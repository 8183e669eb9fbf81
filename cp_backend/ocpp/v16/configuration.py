"""OCPP 1.6: reading and writing configuration keys. Source: sections 5.4 and 5.8."""

from __future__ import annotations

from collections.abc import Sequence

from charging import intents
from charging.command import Setting
from cp_backend.ocpp.actions import Exchange, OutgoingCall
from cp_backend.vocabulary import JsonObject

_PASSWORD = "authorizationkey"  # noqa: S105 - a key's name
_TAKEN = {"Accepted": False, "RebootRequired": True}


def read_settings(intent: intents.ReadSettings) -> list[OutgoingCall]:
    """Plan to read settings; none named: all."""
    names = {"key": list(intent.names)} if intent.names else {}
    return [OutgoingCall("GetConfiguration", names)]


def write_settings(intent: intents.WriteSettings) -> list[OutgoingCall]:
    """Plan to write settings, one after the other. Raises ValueError for a password."""
    if any(name.lower() == _PASSWORD for name in intent.values):
        raise ValueError("values.AuthorizationKey: is a password, which set-password changes")
    return [
        OutgoingCall("ChangeConfiguration", {"key": name, "value": value})
        for name, value in intent.values.items()
    ]


def settings_told(exchanges: Sequence[Exchange]) -> list[Setting]:
    """Return what the answers tell of settings: those that were read, and those that were taken."""
    told = []
    for call, answer in exchanges:
        if answer is None:
            continue
        if call.action == "ChangeConfiguration":
            status = answer.get("status", "")
            if status in _TAKEN:
                name, value = call.payload["key"], call.payload["value"]
                told.append(_setting(name, value, None, after_restart=_TAKEN[status]))
        elif call.action == "GetConfiguration":
            told += [_read(entry) for entry in answer.get("configurationKey", ())]
            told += [Setting(name, offered=False) for name in answer.get("unknownKey", ())]
    return told


def _read(entry: JsonObject) -> Setting:
    # A key without a value has an empty one. Source: 7.29 KeyValue.
    return _setting(entry["key"], entry.get("value", ""), entry.get("readonly"))


def _setting(
    name: str, value: str, readonly: bool | None, *, after_restart: bool = False
) -> Setting:
    secret = name.lower() == _PASSWORD
    return Setting(name, None if secret else value, readonly, after_restart)
