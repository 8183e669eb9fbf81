"""Commands of the Core profile. Source: OCPP 1.6 section 5."""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import Command, Context, Payload
from charging_point_simulator.ocpp16.smart_charging import read_profile
from charging_point_simulator.station import operators
from charging_point_simulator.station.limits import Purpose

_VENDOR = "Venerable Inertia"


def change_availability(context: Context, payload: Payload) -> Payload:
    """Put connectors into or out of service."""
    operative = payload["type"] == "Operative"
    number = payload["connectorId"]
    status = operators.change_availability(context.point, number, operative=operative)
    return {"status": status}


def change_configuration(context: Context, payload: Payload) -> Payload:
    """Change a key."""
    return {"status": context.configuration.set(payload["key"], payload["value"])}


def get_configuration(context: Context, payload: Payload) -> Payload:
    """Return the keys asked for, or all."""
    names = payload.get("key") or context.configuration.names()
    found = {name: context.configuration.get(name) for name in names}
    return {
        "configurationKey": [key for key in found.values() if key is not None],
        "unknownKey": [name for name, key in found.items() if key is None],
    }


def clear_cache(context: Context, payload: Payload) -> Payload:
    """Forget what the central system answered about tokens."""
    if not context.point.settings.cache_enabled:
        return {"status": "Rejected"}
    context.point.cache.clear()
    return {"status": "Accepted"}


def data_transfer(context: Context, payload: Payload) -> Payload:
    """Send back what our own vendor's message `echo` brings; know no other."""
    if payload["vendorId"] != _VENDOR:
        return {"status": "UnknownVendorId"}
    if payload.get("messageId") != "echo":
        return {"status": "UnknownMessageId"}
    return {"status": "Accepted", "data": payload.get("data", "")}


def remote_start(context: Context, payload: Payload) -> Payload:
    """Start a session, with a charging profile of its own where one is given."""
    if not context.point.online:
        return {"status": "Rejected"}  # section 4.2: not while the boot is pending
    number = payload.get("connectorId")
    profile = None
    if "chargingProfile" in payload:
        profile = read_profile(payload["chargingProfile"], number or 0)
        session_only = profile.purpose is Purpose.SESSION and profile.transaction is None
        if not session_only or not profile.sound:
            return {"status": "Rejected"}
    accepted = operators.remote_start(context.point, number, payload["idTag"], profile)
    return {"status": "Accepted" if accepted else "Rejected"}


def remote_stop(context: Context, payload: Payload) -> Payload:
    """Stop a session."""
    accepted = context.point.online and operators.remote_stop(
        context.point, payload["transactionId"]
    )
    return {"status": "Accepted" if accepted else "Rejected"}


def reset(context: Context, payload: Payload) -> Payload:
    """Boot."""
    operators.reset(context.point, hard=payload["type"] == "Hard")
    return {"status": "Accepted"}


def unlock_connector(context: Context, payload: Payload) -> Payload:
    """Unlock a connector."""
    return {"status": operators.unlock(context.point, payload["connectorId"])}


COMMANDS: dict[str, Command] = {
    "ChangeAvailability": change_availability,
    "ChangeConfiguration": change_configuration,
    "ClearCache": clear_cache,
    "DataTransfer": data_transfer,
    "GetConfiguration": get_configuration,
    "RemoteStartTransaction": remote_start,
    "RemoteStopTransaction": remote_stop,
    "Reset": reset,
    "UnlockConnector": unlock_connector,
}
