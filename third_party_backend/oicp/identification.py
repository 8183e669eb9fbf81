"""OICP's Identification: who charges, by exactly one member."""

from __future__ import annotations

from typing import Any

from charging.identity import rfid_uid

Json = dict[str, Any]

_CARDS = ("RFIDMifareFamilyIdentification", "RFIDIdentification")


def of_uid(uid: str) -> Json:
    """Write the Identification of a card, by its UID."""
    return {"RFIDMifareFamilyIdentification": {"UID": uid}}


def uid_of(identification: Any) -> str | None:
    """Return the UID of the card that an Identification names, None where it is no card."""
    for member in _CARDS:
        who = identification.get(member) if isinstance(identification, dict) else None
        uid = rfid_uid(str(who.get("UID") or "")) if isinstance(who, dict) else None
        if uid is not None:
            return uid
    return None
