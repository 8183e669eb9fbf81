"""What concerns people: what is known of them, what they read, and what they pay.

Source: OCPP 2.0.1 part 2, N09, N10, O01 to O06 and I02; of 2.1: I07 to I11.
"""

from __future__ import annotations

from typing import Any

from charging_point_simulator.ocpp2.context import Command, Context, Payload, constant
from charging_point_simulator.station.timers import write_time

_MAX_MESSAGES = 20


def customer_information(context: Context, payload: Payload) -> Payload:
    """Report what is known of a customer, and forget it."""
    point = context.point
    token = payload.get("idToken", {}).get("idToken")
    if (
        token is None
        and "customerIdentifier" not in payload
        and ("customerCertificate" not in payload)
    ):
        return {"status": "Invalid"}
    known = []
    if token is not None:
        cached, listed = point.cache.get(token), point.token_list.entries.get(token)
        known += [f"cache: {cached.status}"] if cached is not None else []
        known += [f"local list: {listed.status}"] if listed is not None else []
        if payload["clear"]:
            point.cache.remove(token)
            point.token_list.entries.pop(token, None)
    if payload["report"]:
        report = {
            "data": "; ".join(known) or "nothing",
            "seqNo": 0,
            "generatedAt": write_time(context.now),
            "requestId": payload["requestId"],
        }
        context.afterwards(constant("NotifyCustomerInformation", report))
    return {"status": "Accepted"}


def set_display_message(context: Context, payload: Payload) -> Payload:
    """Show a message, or put it in the place of one with its id."""
    message = payload["message"]
    name = message.get("transactionId")
    if name is not None and context.by_transaction(name) is None:
        return {"status": "UnknownTransaction"}
    written = message["message"]
    if isinstance(written, dict) and written["format"] not in ("ASCII", "UTF8"):
        return {"status": "NotSupportedMessageFormat"}
    if message["id"] not in context.messages and len(context.messages) >= _MAX_MESSAGES:
        return {"status": "Rejected"}
    context.messages[message["id"]] = message
    return {"status": "Accepted"}


def get_display_messages(context: Context, payload: Payload) -> Payload:
    """Report the messages that match."""
    found = [
        message
        for number, message in sorted(context.messages.items())
        if number in payload.get("id", [number])
        and payload.get("priority") in (None, message["priority"])
        and payload.get("state") in (None, message.get("state"))
    ]
    if not found:
        return {"status": "Unknown"}
    report = {"requestId": payload["requestId"], "messageInfo": found}
    context.afterwards(constant("NotifyDisplayMessages", report))
    return {"status": "Accepted"}


def clear_display_message(context: Context, payload: Payload) -> Payload:
    """Show a message no more."""
    found = context.messages.pop(payload["id"], None)
    return {"status": "Unknown" if found is None else "Accepted"}


def cost_updated(context: Context, payload: Payload) -> Payload:
    """Show what a transaction costs so far."""
    context.costs[payload["transactionId"]] = payload["totalCost"]
    return {}


def set_default_tariff(context: Context, payload: Payload) -> Payload:
    """Keep the tariff of an EVSE, or of all. Source: 2.1, I07."""
    context.tariffs[payload["evseId"]] = payload["tariff"]
    return {"status": "Accepted"}


def get_tariffs(context: Context, payload: Payload) -> Payload:
    """Return the tariffs that are kept. Source: 2.1, I08."""
    wanted = payload["evseId"]
    assigned: list[dict[str, Any]] = [
        {"tariffId": tariff["tariffId"], "tariffKind": "DefaultTariff", "evseIds": [evse]}
        for evse, tariff in sorted(context.tariffs.items())
        if wanted in (0, evse)
    ]
    if not assigned:
        return {"status": "NoTariff"}
    return {"status": "Accepted", "tariffAssignments": assigned}


def clear_tariffs(context: Context, payload: Payload) -> Payload:
    """Keep tariffs no more. Source: 2.1, I10."""
    gone = {
        evse: tariff
        for evse, tariff in context.tariffs.items()
        if tariff["tariffId"] in payload.get("tariffIds", [tariff["tariffId"]])
        and payload.get("evseId", evse) in (0, evse)
    }
    for evse in gone:
        del context.tariffs[evse]
    results = [{"tariffId": tariff["tariffId"], "status": "Accepted"} for tariff in gone.values()]
    return {"clearTariffsResult": results or [{"status": "NoTariff"}]}


COMMANDS: dict[str, Command] = {
    "ClearDisplayMessage": clear_display_message,
    "CostUpdated": cost_updated,
    "CustomerInformation": customer_information,
    "GetDisplayMessages": get_display_messages,
    "SetDisplayMessage": set_display_message,
}
COMMANDS_V21: dict[str, Command] = {
    "ClearTariffs": clear_tariffs,
    "GetTariffs": get_tariffs,
    "SetDefaultTariff": set_default_tariff,
}
