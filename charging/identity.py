"""Names of things in the field: charging points, EVSEs, tokens. Parse, compare, redact.

All of these arrive from the outside, so every parse raises `InvalidIdentityError` with a
sentence an operator can act on.
"""

from __future__ import annotations

import re
import secrets

MAX_CHARGING_POINT_ID_LENGTH = 48
MAX_ID_TAG_LENGTH = 36

_EVSE_ID_ISO = re.compile(r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?E[A-Za-z0-9*]{1,30}")
_EVSE_ID_DIN = re.compile(r"\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}")

_HUB_TOKEN = re.compile(r"HUB[0-9A-F]{16}")
_RFID_UID = re.compile(r"[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20}")


class InvalidIdentityError(ValueError):
    """A name does not have the form its standard asks for."""


def parse_charging_point_id(text: str) -> str:
    """Check a charging point's identity and return it unchanged.

    text: 1 to 48 printable characters, at least one of them a letter or digit, no space at
    either end. Raises InvalidIdentityError.
    Source: OCPP 1.6 sets no form; 2.0.1 part 4 section 3.1.1 sets the length, and forbids what
    charging points in the field do have (a MAC address with its colons).
    """
    if (
        not 0 < len(text) <= MAX_CHARGING_POINT_ID_LENGTH
        or not text.isprintable()
        or text != text.strip()
        or not any(map(str.isalnum, text))
    ):
        raise InvalidIdentityError(
            f"{text[:60]!r} is no charging point id: 1 to {MAX_CHARGING_POINT_ID_LENGTH} printable "
            "characters, a letter or digit among them, no space at either end"
        )
    return text


def parse_evse_id(text: str) -> str:
    """Check an EVSE id (ISO 15118 or DIN SPEC 91286) and return it in upper case.

    Raises InvalidIdentityError. Source: OICP 2.3 type EvseID.
    """
    upper = text.strip().upper()
    if not (_EVSE_ID_ISO.fullmatch(upper) or _EVSE_ID_DIN.fullmatch(upper)):
        raise InvalidIdentityError(
            f"{text[:60]!r} is no EVSE id: expected something like DE*VNI*E123456 or +49*123*456"
        )
    return upper


def evse_id_key(text: str) -> str:
    """Return what two spellings of one EVSE id have in common: no ``*``, upper case.

    ``DE*VNI*E1`` and ``devnie1`` name the same EVSE, and so do ``+49*822*483*1`` and
    ``49*822*483*1``: DIN SPEC 91286 leaves the plus to the writer, the key has it.
    """
    key = text.strip().replace("*", "").upper()
    return f"+{key}" if key[:1].isdigit() else key


def id_tag_key(text: str) -> str:
    """Return what two spellings of one token have in common.

    OCPP's idTag is case-insensitive (CiString20Type), so the key is upper case; a card's UID
    stands in it without separators. Raises InvalidIdentityError for an empty or overlong token.
    """
    key = text.strip().upper()
    if not key or len(key) > MAX_ID_TAG_LENGTH or not key.isprintable():
        raise InvalidIdentityError(
            f"a token has 1 to {MAX_ID_TAG_LENGTH} printable characters, this one has {len(key)}"
        )
    return rfid_uid(key) or key


def rfid_uid(id_tag: str) -> str | None:
    """Return a token as a card's UID, None where it has not the form of one.

    4, 7 or 10 bytes in hex, upper case; some charging points put a colon, a dash or a space
    between the bytes. Source: OICP 2.3 type UID.
    """
    text = id_tag.strip().upper()
    for separator in ":- ":
        parts = text.split(separator)
        if len(parts) > 1 and all(len(part) == 2 for part in parts):
            text = "".join(parts)
    return text if _RFID_UID.fullmatch(text) else None


def new_hub_token() -> str:
    """Return a token for one session of the hub: 19 characters holding 64 random bits.

    OCPP 1.6 allows 20, so the hub's own id does not fit.
    """
    return "HUB" + secrets.token_hex(8).upper()


def is_hub_token(id_tag: str) -> bool:
    """Return whether a token is one that we made for a session of the hub."""
    return _HUB_TOKEN.fullmatch(id_tag) is not None


def redact(token: str) -> str:
    """Return a token as it may stand in a log: its last three characters only.

    A token is a key to someone's money; its end is enough to find it by.
    """
    return f"…{token[-3:]}" if len(token) > 4 else "…"
