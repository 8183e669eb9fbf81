"""OICP's status codes and what each situation is answered with."""

from __future__ import annotations

from enum import StrEnum

from charging.command import Outcome


class StatusCode(StrEnum):
    """The codes that we give. Source: OICP 2.3, section "Status codes"."""

    SUCCESS = "000"
    NOT_AUTHORIZED = "017"
    SYSTEM_ERROR = "021"
    DATA_ERROR = "022"
    SESSION_INVALID = "400"
    NO_COMMUNICATION = "501"
    EVSE_RESERVED = "601"
    EVSE_IN_USE = "602"
    UNKNOWN_EVSE = "603"
    NO_ROAMING = "604"
    OUT_OF_SERVICE = "700"


DESCRIPTIONS = {
    StatusCode.SUCCESS: "Success",
    StatusCode.NOT_AUTHORIZED: "Not authorized to do this",
    StatusCode.SYSTEM_ERROR: "System error",
    StatusCode.DATA_ERROR: "Data error",
    StatusCode.SESSION_INVALID: "Session is invalid",
    StatusCode.NO_COMMUNICATION: "Communication to the EVSE failed",
    StatusCode.EVSE_RESERVED: "EVSE is already reserved",
    StatusCode.EVSE_IN_USE: "EVSE is already in use",
    StatusCode.UNKNOWN_EVSE: "Unknown EVSE ID",
    StatusCode.NO_ROAMING: "EVSE is not available for roaming",
    StatusCode.OUT_OF_SERVICE: "EVSE is out of service",
}


def of_outcome(outcome: Outcome) -> StatusCode:
    """Return how the outcome of a command is told to the hub."""
    return StatusCode.SUCCESS if outcome is Outcome.ACCEPTED else StatusCode.NO_COMMUNICATION


def of_evse_status(status: str | None) -> StatusCode:
    """Return whether an EVSE in this OCPP status can start: 000, or why it cannot.

    One that never said anything is tried.
    """
    match status:
        case "Reserved":
            return StatusCode.EVSE_RESERVED
        case "Faulted" | "Unavailable":
            return StatusCode.OUT_OF_SERVICE
        case "Charging" | "SuspendedEV" | "SuspendedEVSE" | "Finishing" | "Occupied":
            return StatusCode.EVSE_IN_USE
        case _:
            return StatusCode.SUCCESS
