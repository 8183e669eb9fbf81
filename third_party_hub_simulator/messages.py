"""OICP 2.3's operations, status codes and answers. Source: OICP 2.3, CPO side."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Operation(StrEnum):
    """What an operator calls at the hub."""

    EVSE_DATA = "evse-data"
    EVSE_STATUS = "evse-status"
    AUTHORIZE_START = "authorize-start"
    AUTHORIZE_STOP = "authorize-stop"
    NOTIFICATION = "notification"
    CDR = "cdr"
    PRICING_PRODUCTS = "pricing-products"
    EVSE_PRICING = "evse-pricing"


PATHS = {
    Operation.EVSE_DATA: "/evsepush/v23/operators/<operator_id>/data-records",
    Operation.EVSE_STATUS: "/evsepush/v21/operators/<operator_id>/status-records",
    Operation.AUTHORIZE_START: "/charging/v21/operators/<operator_id>/authorize/start",
    Operation.AUTHORIZE_STOP: "/charging/v21/operators/<operator_id>/authorize/stop",
    Operation.NOTIFICATION: "/notificationmgmt/v11/charging-notifications",
    Operation.CDR: "/cdrmgmt/v22/operators/<operator_id>/charge-detail-record",
    Operation.PRICING_PRODUCTS: "/dynamicpricing/v10/operators/<operator_id>/pricing-products",
    Operation.EVSE_PRICING: "/dynamicpricing/v10/operators/<operator_id>/evse-pricing",
}

CALLS_PER_MINUTE = {
    Operation.EVSE_DATA: 375,
    Operation.EVSE_STATUS: 2000,
    Operation.AUTHORIZE_START: 200,
    Operation.AUTHORIZE_STOP: 50,
    Operation.NOTIFICATION: 100,
    Operation.CDR: 350,
    Operation.PRICING_PRODUCTS: 6,
    Operation.EVSE_PRICING: 6,
}

# A driver waits for an authorization; pushes alone are one after the other.
SEQUENTIAL = frozenset(Operation) - {Operation.AUTHORIZE_START, Operation.AUTHORIZE_STOP}

STATUS_CODES = {
    "000": "Success",
    "001": "Hub system error",
    "002": "Hub database error",
    "009": "Data transaction error",
    "017": "Unauthorized access",
    "018": "Inconsistent EVSE ID",
    "019": "Inconsistent EvcoID",
    "021": "System error",
    "022": "Data error",
    "101": "QR code authentication failed",
    "102": "RFID authentication failed: invalid UID",
    "103": "RFID authentication failed: card not readable",
    "105": "PLC authentication failed",
    "106": "No positive authentication response",
    "110": "QR code authentication timed out",
    "120": "PLC authentication failed: invalid underlying EvcoID",
    "121": "PLC authentication failed: invalid certificate",
    "122": "PLC authentication timed out",
    "200": "EvcoID locked",
    "210": "No valid contract",
    "300": "Partner not found",
    "310": "Partner did not respond",
    "320": "Service not available",
    "400": "Session is invalid",
    "501": "Communication to EVSE failed",
    "510": "No EV connected to EVSE",
    "601": "EVSE already reserved",
    "602": "EVSE already in use or wrong token",
    "603": "Unknown EVSE ID",
    "604": "EVSE ID is not offered for roaming",
    "700": "EVSE out of service",
}


def without_nulls(value: Any) -> Any:
    """Return a JSON value without the members that are null: null is the same as absent."""
    if isinstance(value, dict):
        return {name: without_nulls(member) for name, member in value.items() if member is not None}
    if isinstance(value, list):
        return [without_nulls(member) for member in value]
    return value


def key(name: str) -> str:
    """Return what two spellings of an EVSE, operator or provider id have in common."""
    return re.sub(r"[*-]", "", name).upper()


def status(code: str, info: str = "") -> Json:
    """Return a StatusCode as the hub writes it."""
    return {"Code": code, "Description": STATUS_CODES[code], "AdditionalInfo": info or None}


def acknowledgment(code: str = "000", info: str = "", session: Json | None = None) -> Json:
    """Return an Acknowledgment; absent optionals are null, as the hub writes them."""
    session = session or {}
    return {
        "Result": code == "000",
        "StatusCode": status(code, info),
        "SessionID": session.get("SessionID"),
        "CPOPartnerSessionID": session.get("CPOPartnerSessionID"),
        "EMPPartnerSessionID": session.get("EMPPartnerSessionID"),
    }
