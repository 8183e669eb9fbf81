"""OCPP 2.x: tokens and their answers. Source: 2.0.1 part 2, IdTokenType and IdTokenInfoType."""

from __future__ import annotations

import re

from charging.authorization import Authorization, Decision
from charging.token import Token, TokenKind, token_of
from cp_backend.ocpp.times import write_time
from cp_backend.vocabulary import JsonObject

NO_TOKEN = Token("", TokenKind.OTHER)
"""Charging was begun without any: a button, or free charging. Source: use case C02."""

_DECISIONS = {
    Decision.ACCEPTED: "Accepted",
    Decision.BLOCKED: "Blocked",
    Decision.EXPIRED: "Expired",
    Decision.UNKNOWN: "Unknown",
    Decision.REFUSED: "Invalid",
}


_NO_CARDS = frozenset({"eMAID", "EVCCID", "KeyCode", "Local", "MacAddress", "VIN"})
"""Types whose tokens are no cards, whatever their form: a MAC address has that of a UID."""
# Source: ISO 15118-2 annex H: country, provider, C, eight characters, and perhaps a check digit.
_CONTRACT = re.compile(r"[A-Z]{2}-?[A-Z0-9]{3}-?C[A-Z0-9]{8}(?:-?[A-Z0-9])?", re.IGNORECASE)


def read_token(token: JsonObject) -> Token:
    """Read an IdTokenType."""
    if token.get("type") == "NoAuthorization" or not token["idToken"]:
        return NO_TOKEN
    read = token_of(token["idToken"])
    if token.get("type") in _NO_CARDS and read.kind is TokenKind.CARD:
        return Token(token["idToken"].strip().upper(), TokenKind.OTHER)
    return read


def write_token(value: str) -> JsonObject:
    """Write a token of ours, a card's, or a contract's. Source: 2.0.1 part 2, IdTokenEnumType."""
    token = token_of(value)
    if token.kind is TokenKind.CARD:
        kind = "ISO14443"
    else:
        kind = "eMAID" if _CONTRACT.fullmatch(value) else "Central"
    return {"idToken": value, "type": kind}


def write_token_info(authorization: Authorization) -> JsonObject:
    """Write an IdTokenInfoType."""
    info: JsonObject = {"status": _DECISIONS[authorization.decision]}
    if authorization.expires_at is not None:
        info["cacheExpiryDateTime"] = write_time(authorization.expires_at)
    if authorization.parent_id_tag is not None:
        info["groupIdToken"] = {"idToken": authorization.parent_id_tag, "type": "Central"}
    return info
