"""Payloads for the message log: secrets cut out, tokens as keyed hashes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Set

import orjson

from cp_backend.vocabulary import JsonObject

QUIET = frozenset({"Heartbeat", "MeterValues"})
"""Actions that come often and tell little: the message log keeps them under a lens only."""

CUT = "(not kept)"
TOKEN_PREFIX = "token:"  # noqa: S105 - what a hash begins with
_HASH_BYTES = 8

# Members that hold a token, in any version.
_TOKENS = frozenset({"idTag", "parentIdTag", "idToken", "groupIdToken", "vendorIdTag"})
# Members that hold a secret wherever they stand.
_SECRETS = frozenset({"password", "basicAuthPassword", "privateKey"})
# Settings whose value is a secret: {"key": "AuthorizationKey", "value": …} in 1.6, {"variable":
# {"name": "BasicAuthPassword"}, "attributeValue": …} in 2.x.
_SECRET_SETTINGS = frozenset({"authorizationkey", "basicauthpassword"})
# In lower case, one of them stands in every text that has something to hide.
_SENSITIVE = ("idtag", "idtoken", "password", "privatekey", "authorizationkey")
_TOKEN_IN_TEXT = re.compile(rf'("(?:{"|".join(sorted(_TOKENS))})"\s*:\s*"?)([^",}}\]]+)')
_SECRET_IN_TEXT = re.compile(rf'("(?:{"|".join(sorted(_SECRETS))})"\s*:\s*"?)[^",}}\]]+')


def hash_token(token: str, key: bytes) -> str:
    """Return what stands in the log for a token: the same for the same, spelt however.

    key: 16 to 64 bytes. The hash cannot be guessed back without the key: a card's UID alone has
    too few bits for that.
    """
    digest = hashlib.blake2b(token.strip().upper().encode(), digest_size=_HASH_BYTES, key=key)
    return TOKEN_PREFIX + digest.hexdigest()


def redact(payload: object, key: bytes, secrets: Set[str] = frozenset()) -> object:
    """Return a payload without secrets and with hashed tokens; the one given stays as it is.

    secrets: names of further members to cut, of the action at hand.
    """
    if isinstance(payload, list):
        return [redact(item, key, secrets) for item in payload]
    if not isinstance(payload, dict):
        return payload
    cut = secrets | _SECRETS
    if _names_secret_setting(payload):
        cut = cut | {"value", "attributeValue"}
    redacted: JsonObject = {}
    for name, value in payload.items():
        if name in cut:
            redacted[name] = CUT
        elif name in _TOKENS and isinstance(value, (str, int)):
            redacted[name] = hash_token(str(value), key) if value != "" else ""
        else:
            redacted[name] = redact(value, key, secrets)
    return redacted


def redacted_json(payload: object, key: bytes, secrets: Set[str] = frozenset()) -> str:
    """Return a payload as the JSON text that the log keeps."""
    text = _dump(payload)
    # Most messages hold nothing of the kind; a search is a fraction of a walk.
    lower = text.lower()
    if not secrets and not any(word in lower for word in _SENSITIVE):
        return text
    return _dump(redact(payload, key, secrets))


def _dump(payload: object) -> str:
    try:
        return orjson.dumps(payload).decode()
    except TypeError:  # a number of more than 64 bits, a lone surrogate
        return json.dumps(payload)


def redact_text(text: str, key: bytes) -> str:
    """Return a text that is no JSON without what looks like tokens and secrets in it."""
    text = _TOKEN_IN_TEXT.sub(lambda found: f"{found[1]}{hash_token(found[2], key)}", text)
    return _SECRET_IN_TEXT.sub(rf"\1{CUT}", text)


def _names_secret_setting(payload: JsonObject) -> bool:
    name: object = payload.get("key")
    variable = payload.get("variable")
    if isinstance(variable, dict):
        name = variable.get("name")
    return isinstance(name, str) and name.lower() in _SECRET_SETTINGS
