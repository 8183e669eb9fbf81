"""OICP's Identification: who charges, by exactly one member."""

from __future__ import annotations

import re
from typing import Any

from charging.identity import rfid_uid

Json = dict[str, Any]

REMOTE = "RemoteIdentification"
_CARDS = ("RFIDMifareFamilyIdentification", "RFIDIdentification")

EVCO_ID = re.compile(
    r"[A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}-?[0-9A-Za-z]"
    r"|[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}[*-]?[A-Za-z0-9]{6}[*-]?[0-9X]"
)
UID = re.compile(r"[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20}")
_CARD_TYPE = re.compile("mifareCls|mifareDes|calypso|nfc|mifareFamily")

_MEMBERS = {
    "RFIDMifareFamilyIdentification": {"UID": UID},
    "RFIDIdentification": {"UID": UID, "RFID": _CARD_TYPE},
    "QRCodeIdentification": {"EvcoID": EVCO_ID},
    "PlugAndChargeIdentification": {"EvcoID": EVCO_ID},
    REMOTE: {"EvcoID": EVCO_ID},
}
"""What each member must hold. Source: OICP 2.3, type Identification."""


def of_uid(uid: str) -> Json:
    """Write the Identification of a card, by its UID."""
    return {"RFIDMifareFamilyIdentification": {"UID": uid}}


def checked(identification: Any, *, remote: bool = False) -> Json:
    """Return an Identification with what it must hold and nothing else: a PIN is not kept.

    remote: of a remote process, which takes the remote one alone. Raises ValueError.
    """
    if not isinstance(identification, dict) or len(identification) != 1:
        raise ValueError("must have exactly one member")
    ((name, who),) = identification.items()
    if remote and name != REMOTE:
        raise ValueError(f"must be {REMOTE}, as in every remote process")
    if name not in _MEMBERS or not isinstance(who, dict):
        raise ValueError(f"has none of {', '.join(_MEMBERS)}")
    kept = {}
    for member, form in _MEMBERS[name].items():
        value = who.get(member)
        if not isinstance(value, str) or not form.fullmatch(value):
            raise ValueError(f"{name}.{member} is missing or has not its form")
        kept[member] = value
    return {name: kept}


def uid_of(identification: Any) -> str | None:
    """Return the UID of the card that an Identification names, None where it is no card."""
    for member in _CARDS:
        who = identification.get(member) if isinstance(identification, dict) else None
        uid = rfid_uid(str(who.get("UID") or "")) if isinstance(who, dict) else None
        if uid is not None:
            return uid
    return None
