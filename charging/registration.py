"""How the operator lets a charging point's boot be answered."""

from __future__ import annotations

from enum import StrEnum


class Registration(StrEnum):
    """The answer to a boot, in the words of every OCPP version, as operators type them."""

    ACCEPTED = "Accepted"
    PENDING = "Pending"
    """It shall ask again later; until then it may report nothing."""
    REJECTED = "Rejected"
