"""The frames of OCPP-J: CALL, CALLRESULT and CALLERROR, between text and tuples.

Source: OCPP-J 1.6 section 4.2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from cp_backend.ocpp.errors import ErrorCode

CALL = 2
CALL_RESULT = 3
CALL_ERROR = 4

MAX_MESSAGE_ID_LENGTH = 36
MAX_FRAME_BYTES = 128 * 1024
"""OCPP sets no bound; 99 of 100 messages fit 2 kB and a frame beyond this closes with 1009."""

_NUL = b"\\u0000"  # as JSON writes it; PostgreSQL's texts cannot hold the character


class Call(NamedTuple):
    """A request: `payload` is a JSON object, not yet held against its schema."""

    message_id: str
    action: str
    payload: dict[str, Any]


class CallResult(NamedTuple):
    """The answer to a request of ours."""

    message_id: str
    payload: dict[str, Any]


class CallError(NamedTuple):
    """The refusal of a request of ours."""

    message_id: str
    code: str
    description: str


class FrameError(ValueError):
    """A text that is no frame.

    message_id: of the CALL to answer with a CALLERROR; None when there is nothing to answer
    (no readable id, or a message type that this version ignores).
    """

    def __init__(self, description: str, message_id: str | None = None) -> None:
        super().__init__(description)
        self.description = description
        self.message_id = message_id


def parse(text: bytes) -> Call | CallResult | CallError:
    """Read one frame of OCPP-J 1.6.

    text: UTF-8 JSON, at most MAX_FRAME_BYTES long (the socket sees to that).
    Raises FrameError. Source: OCPP-J 1.6 section 4.2.
    """
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise FrameError(f"not JSON: {error}") from error
    # One shape for nearly all traffic; everything else is looked at below.
    if type(frame) is list and len(frame) == 4 and frame[0] == CALL:
        _, message_id, action, payload = frame
        if (
            type(message_id) is str
            and 0 < len(message_id) <= MAX_MESSAGE_ID_LENGTH
            and type(action) is str
            and type(payload) is dict
            and _NUL not in text
        ):
            return Call(message_id, action, payload)
    return _parse_carefully(frame, text)


def _parse_carefully(frame: Any, text: bytes) -> Call | CallResult | CallError:
    if not isinstance(frame, list) or len(frame) < 2:
        raise FrameError("a frame is a JSON array of three to five elements")
    kind, message_id = frame[0], frame[1]
    if kind not in (CALL, CALL_RESULT, CALL_ERROR) or isinstance(kind, (bool, float)):
        raise FrameError(f"message type {str(kind)[:20]} is unknown and ignored")
    if not isinstance(message_id, str) or not 0 < len(message_id) <= MAX_MESSAGE_ID_LENGTH:
        raise FrameError(f"a message id is a string of 1 to {MAX_MESSAGE_ID_LENGTH} characters")
    if kind == CALL_RESULT:
        if len(frame) != 3 or not isinstance(frame[2], dict):
            raise FrameError("a CALLRESULT is [3, id, payload]")
        return CallResult(message_id, frame[2])
    if kind == CALL_ERROR:
        if len(frame) < 3 or not isinstance(frame[2], str):
            raise FrameError("a CALLERROR is [4, id, code, description, details]")
        # Charging points in the field leave out what they have nothing to say about.
        description = frame[3] if len(frame) > 3 and isinstance(frame[3], str) else ""
        return CallError(message_id, frame[2], description)
    if _NUL in text:
        raise FrameError("NUL characters cannot be kept", message_id)
    raise FrameError("a CALL is [2, id, action, payload], payload a JSON object", message_id)


def call(message_id: str, action: str, payload: dict[str, Any]) -> bytes:
    """Write a CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def call_result(message_id: str, payload: dict[str, Any]) -> bytes:
    """Write a CALLRESULT."""
    return orjson.dumps([CALL_RESULT, message_id, payload])


def call_error(message_id: str, code: ErrorCode, description: str = "") -> bytes:
    """Write a CALLERROR; its details are always an empty object, never null."""
    return orjson.dumps([CALL_ERROR, message_id, code.value, description[:255], {}])
