"""OCPP 2.x: tokens and their answers. Source: 2.0.1 part 2, IdTokenType and IdTokenInfoType."""

from __future__ import annotations

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


def read_token(token: JsonObject) -> Token:
    """Read an IdTokenType."""
    if token.get("type") == "NoAuthorization" or not token["idToken"]:
        return NO_TOKEN
    return token_of(token["idToken"])


def write_token(value: str) -> JsonObject:
    """Write a token of ours, or a card's. Source: 2.0.1 part 2, IdTokenEnumType."""
    token = token_of(value)
    kind = "ISO14443" if token.kind is TokenKind.CARD else "Central"
    return {"idToken": value, "type": kind}


def write_token_info(authorization: Authorization) -> JsonObject:
    """Write an IdTokenInfoType."""
    info: JsonObject = {"status": _DECISIONS[authorization.decision]}
    if authorization.expires_at is not None:
        info["cacheExpiryDateTime"] = write_time(authorization.expires_at)
    if authorization.parent_id_tag is not None:
        info["groupIdToken"] = {"idToken": authorization.parent_id_tag, "type": "Central"}
    return info
