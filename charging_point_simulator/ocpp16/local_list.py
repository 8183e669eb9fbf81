"""The local authorization list. Source: OCPP 1.6 sections 3.5.2 and 5.15."""

from __future__ import annotations

from charging_point_simulator.ocpp16.context import Command, Context, Payload, known_of
from charging_point_simulator.station.authorization import Known


def get_local_list_version(context: Context, payload: Payload) -> Payload:
    """Return the list's version: 0 when it is empty, -1 when there is none."""
    point = context.point
    return {"listVersion": point.token_list.version if point.settings.local_list_enabled else -1}


def send_local_list(context: Context, payload: Payload) -> Payload:
    """Take a list, or what changed in it."""
    point = context.point
    if not point.settings.local_list_enabled:
        return {"status": "NotSupported"}
    entries: dict[str, Known | None] = {
        entry["idTag"]: known_of(entry["idTagInfo"]) if "idTagInfo" in entry else None
        for entry in payload.get("localAuthorizationList", [])
    }
    change = (
        point.token_list.replace if payload["updateType"] == "Full" else point.token_list.change
    )
    return {"status": change(payload["listVersion"], entries)}


COMMANDS: dict[str, Command] = {
    "GetLocalListVersion": get_local_list_version,
    "SendLocalList": send_local_list,
}
