"""OICP's status codes, what each situation is answered with, and the status of an EVSE."""

from __future__ import annotations

from enum import StrEnum

from charging.command import Outcome
from charging.evse import EvseState
from charging.refusal import Refusal, refusal_of


class StatusCode(StrEnum):
    """The codes that we give or decide on. Source: OICP 2.3, section "Status codes"."""

    SUCCESS = "000"
    HUB_SYSTEM_ERROR = "001"
    HUB_DATABASE_ERROR = "002"
    TRANSACTION_ERROR = "009"
    NOT_AUTHORIZED = "017"
    INCONSISTENT_EVSE = "018"
    SYSTEM_ERROR = "021"
    DATA_ERROR = "022"
    PARTNER_NOT_FOUND = "300"
    SERVICE_NOT_AVAILABLE = "320"
    SESSION_INVALID = "400"
    NO_COMMUNICATION = "501"
    NO_VEHICLE = "510"
    EVSE_RESERVED = "601"
    EVSE_IN_USE = "602"
    UNKNOWN_EVSE = "603"
    NO_ROAMING = "604"
    OUT_OF_SERVICE = "700"


DESCRIPTIONS = {
    StatusCode.SUCCESS: "Success",
    StatusCode.HUB_SYSTEM_ERROR: "Hub system error",
    StatusCode.HUB_DATABASE_ERROR: "Hub database error",
    StatusCode.TRANSACTION_ERROR: "Data transaction error",
    StatusCode.NOT_AUTHORIZED: "Not authorized to do this",
    StatusCode.INCONSISTENT_EVSE: "Inconsistent EVSE ID",
    StatusCode.SYSTEM_ERROR: "System error",
    StatusCode.DATA_ERROR: "Data error",
    StatusCode.PARTNER_NOT_FOUND: "Partner not found",
    StatusCode.SERVICE_NOT_AVAILABLE: "Service not available",
    StatusCode.SESSION_INVALID: "Session is invalid",
    StatusCode.NO_COMMUNICATION: "Communication to the EVSE failed",
    StatusCode.NO_VEHICLE: "No vehicle is connected to the EVSE",
    StatusCode.EVSE_RESERVED: "EVSE is already reserved",
    StatusCode.EVSE_IN_USE: "EVSE is already in use",
    StatusCode.UNKNOWN_EVSE: "Unknown EVSE ID",
    StatusCode.NO_ROAMING: "EVSE is not available for roaming",
    StatusCode.OUT_OF_SERVICE: "EVSE is out of service",
}


_REFUSALS = {
    Refusal.EVSE_UNKNOWN: StatusCode.UNKNOWN_EVSE,
    Refusal.NOT_ROAMING: StatusCode.NO_ROAMING,
    Refusal.OFFLINE: StatusCode.NO_COMMUNICATION,
    Refusal.OUT_OF_SERVICE: StatusCode.OUT_OF_SERVICE,
    Refusal.IN_USE: StatusCode.EVSE_IN_USE,
    Refusal.RESERVED: StatusCode.EVSE_RESERVED,
    Refusal.NO_VEHICLE: StatusCode.NO_VEHICLE,
    Refusal.NOT_OFFERED: StatusCode.SERVICE_NOT_AVAILABLE,
    Refusal.REJECTED: StatusCode.NO_COMMUNICATION,
    Refusal.SESSION_UNKNOWN: StatusCode.SESSION_INVALID,
    Refusal.SESSION_ENDED: StatusCode.SESSION_INVALID,
    Refusal.OTHER_PROVIDER: StatusCode.NOT_AUTHORIZED,
}


def of_refusal(refusal: Refusal) -> StatusCode:
    """Return the code that a refused request is answered with."""
    return _REFUSALS[refusal]


def of_outcome(outcome: Outcome) -> StatusCode:
    """Return the code that a request is answered with whose command ended so."""
    refusal = refusal_of(outcome)
    return StatusCode.SUCCESS if refusal is None else of_refusal(refusal)


def evse_status(state: EvseState) -> str:
    """Return OICP's EvseStatus of an EVSE in a state. Source: OICP 2.3, type EvseStatus."""
    match state:
        case EvseState.UNKNOWN:
            return "Unknown"
        case EvseState.AVAILABLE:
            return "Available"
        case EvseState.RESERVED:
            return "Reserved"
        case _:
            return "OutOfService" if state.out_of_service else "Occupied"
