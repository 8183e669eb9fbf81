"""Payloads for the message log: secrets cut out, tokens as keyed hashes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence, Set

import orjson

from cp_backend.ocpp.spellings import INNER_NAMES, TOKEN_NAMES, letters
from cp_backend.vocabulary import JsonObject

QUIET = frozenset({"Heartbeat", "MeterValues"})
"""Actions that come often and tell little: the message log keeps them under a lens only."""

CUT = "(not kept)"
TOO_DEEP = "(nested too deep)"
MAX_DEPTH = 32
"""Levels of a payload that the log keeps; the deepest of any schema has 9."""
TOKEN_PREFIX = "token:"  # noqa: S105 - what a hash begins with
_HASH_BYTES = 8

# Members that hold a secret wherever they stand, as `letters` has them.
_SECRETS = frozenset({"password", "basicauthpassword", "privatekey"})
# Settings whose value is a secret: {"key": "AuthorizationKey", "value": …} in 1.6, {"variable":
# {"name": "BasicAuthPassword"}, "attributeValue": …} in 2.x.
_SECRET_SETTINGS = frozenset({"authorizationkey", "basicauthpassword"})
# In lower case, one of them stands in every text that has something to hide.
_SENSITIVE = ("tag", "token", "rfid", "uid", "card", "password", "private", "authorizationkey")
_IN_TEXT = r"""(["']?\b(?:{names})\b["']?\s*:\s*["'\[]*)([^"',}}\]\s]+)"""


def _in_text(names: Set[str]) -> re.Pattern[str]:
    spelled = "|".join("[-_ ]?".join(name) for name in sorted(names, key=len, reverse=True))
    return re.compile(_IN_TEXT.format(names=spelled), re.IGNORECASE)


_TOKEN_IN_TEXT = _in_text(TOKEN_NAMES)
_SECRET_IN_TEXT = _in_text(_SECRETS)


def hash_token(token: str, key: bytes) -> str:
    """Return what stands in the log for a token: the same for the same, spelt however.

    key: 16 to 64 bytes. The hash cannot be guessed back without the key: a card's UID alone has
    too few bits for that.
    """
    digest = hashlib.blake2b(token.strip().upper().encode(), digest_size=_HASH_BYTES, key=key)
    return TOKEN_PREFIX + digest.hexdigest()


def without_secrets(answers: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """Return answers as whoever asked may see them: without secrets, tokens as they are.

    A password by which a charging point comes in is never told by the standards; some tell it.
    """
    return tuple(cut for each in answers if isinstance(cut := redact(each, None), dict))


def redact(
    payload: object, key: bytes | None, secrets: Set[str] = frozenset(), levels: int = MAX_DEPTH
) -> object:
    """Return a payload without secrets and with hashed tokens; the one given stays as it is.

    key: None leaves tokens as they are. secrets: names of further members to cut, of the action at
    hand. levels: of lists and objects
    that are kept; TOO_DEEP stands for what is nested deeper.
    """
    if not isinstance(payload, (list, dict)):
        return payload
    if levels <= 0:
        return TOO_DEEP
    if isinstance(payload, list):
        return [redact(item, key, secrets, levels - 1) for item in payload]
    cut = secrets
    if _names_secret_setting(payload):
        cut = cut | {"value", "attributeValue"}
    redacted: JsonObject = {}
    for name, value in payload.items():
        spelled = letters(name)
        if name in cut or spelled in _SECRETS:
            redacted[name] = CUT
        elif key is not None and spelled in TOKEN_NAMES:
            redacted[name] = _hashed(value, key, secrets, levels - 1)
        else:
            redacted[name] = redact(value, key, secrets, levels - 1)
    return redacted


def _hashed(value: object, key: bytes, secrets: Set[str], levels: int) -> object:
    """Return a token's hash, wherever in a member's value it stands."""
    if value is None or value == "" or isinstance(value, bool):
        return value
    if isinstance(value, (str, int, float)):
        return hash_token(str(value), key)
    if isinstance(value, list) and levels > 0:
        return [_hashed(item, key, secrets, levels - 1) for item in value]
    redacted = redact(value, key, secrets, levels)
    if isinstance(redacted, dict) and isinstance(value, dict):
        for name in value.keys() & INNER_NAMES:
            redacted[name] = _hashed(value[name], key, secrets, levels - 1)
    return redacted


def redacted_json(payload: object, key: bytes, secrets: Set[str] = frozenset()) -> str:
    """Return a payload as the JSON text that the log keeps."""
    try:
        text = orjson.dumps(payload).decode()
        # Most messages hold nothing of the kind; a search is a fraction of a walk.
        lower = text.lower()
        if not secrets and not any(word in lower for word in _SENSITIVE):
            return text
        return orjson.dumps(redact(payload, key, secrets)).decode()
    except TypeError:  # a number of more than 64 bits, a lone surrogate, more than 254 levels
        return json.dumps(redact(payload, key, secrets))


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
