"""What was repaired in a message of a charging point: one record a deviation, without I/O."""

from __future__ import annotations

import hashlib
from enum import StrEnum
from typing import NamedTuple

from cp_backend.ocpp.spellings import TOKEN_NAMES, letters

MAX_SAMPLE_LENGTH = 100
"""Characters of a deviating value that are kept for a person to look at."""

_SECRET_NAMES = TOKEN_NAMES | {"password", "authorizationkey"}


class RepairKind(StrEnum):
    """How a message differed from the standard, and what was done about it."""

    # Of the handshake.
    HEADER = "header"
    """Missing, empty, quoted, in other letters, or with several values."""
    # Of the frame.
    BYTE_ORDER_MARK = "byte order mark"
    """Dropped before the frame."""
    BINARY = "binary"
    """Sent as a binary message; OCPP-J is text."""
    CONTROL_CHARACTERS = "control characters"
    """NUL dropped; others, which JSON wants escaped, were not."""
    JSON = "json"
    """Commas, values, quotes or brackets were missing or superfluous."""
    CUT = "cut off"
    """Its end is missing, and nothing but closing brackets can have been there."""
    MESSAGE_ID = "message id"
    """Not a text of 1 to 36 characters; answered as it came."""
    ELEMENTS = "elements"
    """More or fewer than the frame has, its type or the whole written as text, several at once."""
    PAYLOAD = "payload"
    """No JSON object."""
    DEPTH = "depth"
    """Nested deeper than any message of OCPP: left out, and the call refused."""
    # Of a field.
    ACTION = "action"
    """Spelled in other letters than the standard's."""
    NAME = "name"
    """A member's name in other letters, or that of another version."""
    UNKNOWN = "unknown member"
    """Dropped."""
    NULL = "null"
    """Dropped."""
    LENGTH = "length"
    """Longer than the standard allows; kept up to 255 characters."""
    TYPE = "type"
    """Number, text, truth value, object or list turned into the other."""
    RANGE = "range"
    """A number that nothing of ours can hold."""
    WORD = "word"
    """Not one of the standard's; written as the standard does, or kept as it came."""
    TIME = "time"
    """In another notation."""
    FILLED = "filled in"
    """A missing value that must be there."""
    DROPPED = "dropped"
    """A part that carries no fact."""


class Repair(NamedTuple):
    """One deviation.

    path: where, indices as ``*``, at most 100 characters: ``meterValue/*/sampledValue/*/unit``;
    empty for the frame as a whole. sample: what came, at most 100 characters, tokens hashed.
    """

    action: str
    path: str
    kind: RepairKind
    sample: str


def sample_of(name: str, value: object) -> str:
    """Return a deviating value for a person to look at, at most 100 characters.

    name: of the member that holds it; a token's value is a key to someone's money and is
    replaced by its length and 8 hex digits of its hash.
    """
    if value is None:
        return "null"
    if letters(name) in _SECRET_NAMES and value != "":
        digest = hashlib.blake2b(repr(value).encode("utf-8", "replace"), digest_size=4).hexdigest()
        return f"{len(str(value)[:1000])} characters, hash {digest}"
    if isinstance(value, str):
        text = value
    elif isinstance(value, (dict, list)):
        # Members may be tokens: only the shape is told.
        inner = ", ".join(str(key)[:30] for key in list(value)[:8] if isinstance(key, str))
        text = f"{'object' if isinstance(value, dict) else 'list'} of {len(value)}" + (
            f": {inner}" if isinstance(value, dict) and inner else ""
        )
    else:
        text = str(value)
    text = text[:MAX_SAMPLE_LENGTH]
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
