"""OCPP 2.0.1 and 2.1: between payloads and our vocabulary, as tables by action.

2.1 has all of 2.0.1's actions with the same required members: one reader, two tables.
"""

from __future__ import annotations

from cp_backend.ocpp.actions import AnyIncoming
from cp_backend.ocpp.errors import ErrorCode
from cp_backend.ocpp.v2 import core, notices, plug_and_charge, transactions
from cp_backend.ocpp.v2.commands import OUTGOING, read_error
from cp_backend.ocpp.v2.notices import UNANSWERED_V21

__all__ = [
    "INCOMING",
    "INCOMING_V21",
    "OUTGOING",
    "SECRETS",
    "SPELLING",
    "UNANSWERED_V21",
    "read_error",
]

INCOMING: dict[str, AnyIncoming] = (
    core.INCOMING | transactions.INCOMING | notices.INCOMING | plug_and_charge.INCOMING
)
"""What charging points that speak 2.0.1 call."""

INCOMING_V21: dict[str, AnyIncoming] = (
    INCOMING | notices.INCOMING_V21 | plug_and_charge.INCOMING_V21
)
"""What charging points that speak 2.1 call."""

SPELLING = {
    ErrorCode.FORMATION_VIOLATION: "FormatViolation",
    ErrorCode.OCCURRENCE_CONSTRAINT_VIOLATION: "OccurrenceConstraintViolation",
}
"""Error codes that 2.x writes otherwise. Source: OCPP-J 2.0.1 part 4 section 4.3."""

SECRETS: dict[str, frozenset[str]] = {
    "CustomerInformation": frozenset({"customerIdentifier"}),
    "GetLog": frozenset({"remoteLocation"}),
    "NotifyCustomerInformation": frozenset({"data"}),
    "PublishFirmware": frozenset({"location"}),
    "SetNetworkProfile": frozenset({"apnPassword", "key", "password"}),
    "UpdateFirmware": frozenset({"location"}),
}
"""Members that no log may hold beside those that `redaction` knows: addresses with passwords,
passwords, and what a charging point tells of a person."""
