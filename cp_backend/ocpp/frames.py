"""The frames of OCPP-J: CALL, CALLRESULT and CALLERROR, between text and tuples.

Version 2.1 has two more: CALLRESULTERROR and SEND.

Read as charging points in the field write them, written as the standard wants them. Source:
OCPP-J 1.6 section 4.2; OCPP-J 2.1 part 4 section 4.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple, TypeGuard, cast

import orjson

from cp_backend.ocpp import lenient_json
from cp_backend.ocpp.lenient_json import MAX_DEPTH, is_deeper
from cp_backend.ocpp.repair import Repair, RepairKind, sample_of
from cp_backend.vocabulary import JsonObject

CALL = 2
CALL_RESULT = 3
CALL_ERROR = 4
CALL_RESULT_ERROR = 5
SEND = 6

MAX_MESSAGE_ID_LENGTH = 36
MAX_ODD_MESSAGE_ID_LENGTH = 255
"""The longest id that is answered all the same; the standard's is 36."""
MAX_FRAME_BYTES = 128 * 1024
"""OCPP sets no bound; 99 of 100 messages fit 2 kB and a frame beyond this closes with 1009."""
MAX_UNREADABLE_LENGTH = 500
"""Characters of an unreadable answer that are kept for the operator."""

MAX_FRAMES = 8
"""Of one text; what follows them is passed over."""
_SEVERAL = (RepairKind.ELEMENTS,)

_NUL = b"\\u0000"  # as JSON writes it; PostgreSQL's texts cannot hold the character

# Where a frame has its payload.
_OF_A_CALL = 3
_OF_A_RESULT = 2

_TYPES: dict[object, int] = {
    CALL: CALL,
    CALL_RESULT: CALL_RESULT,
    CALL_ERROR: CALL_ERROR,
    CALL_RESULT_ERROR: CALL_RESULT_ERROR,
    SEND: SEND,
    "2": CALL,
    "3": CALL_RESULT,
    "4": CALL_ERROR,
    "5": CALL_RESULT_ERROR,
    "6": SEND,
}
# The beginning of a frame whose rest cannot be read.
_HEAD = re.compile(
    rb'[\s\x00\[,\xef\xbb\xbf]*"?([234])"?[\s,]*("(?:[^"\\]|\\.){0,1530}"|-?\d{1,19}(?=[\s,\]]))'
)

MessageId = str | int | float | None
"""Of a CALL: as it came, for its answer. The standard's is a text of 1 to 36 characters."""


class Call(NamedTuple):
    """A request: `payload` is a JSON object, not yet held against its schema.

    repairs: what of the frame was not as the standard wants it. text: the frame as it came,
    where it was a right one.
    """

    message_id: MessageId
    action: str
    payload: JsonObject
    repairs: tuple[Repair, ...] = ()
    text: bytes = b""


class CallResult(NamedTuple):
    """The answer to a request of ours. repairs: like a Call's; their action is empty."""

    message_id: str
    payload: JsonObject
    repairs: tuple[Repair, ...] = ()


class CallError(NamedTuple):
    """The refusal of a request of ours; code is empty where none came."""

    message_id: str
    code: str
    description: str


class UnreadableAnswer(NamedTuple):
    """An answer to a request of ours of which only the id can be read.

    text: what came, at most 500 characters.
    """

    message_id: str
    text: str


class CallResultError(NamedTuple):
    """What a charging point could not make of an answer of ours; of 2.1 alone."""

    message_id: str
    code: str
    description: str


class Send(NamedTuple):
    """A report that is never answered; of 2.1 alone. action: empty for one that is no such frame.

    payload: a JSON object, not yet held against its schema.
    """

    message_id: str
    action: str
    payload: JsonObject


Frame = Call | CallResult | CallError | UnreadableAnswer | CallResultError | Send


class Several(NamedTuple):
    """More than one frame in one text, in order; FrameError for one that is none."""

    frames: tuple[Frame | FrameError, ...]


class FrameError(ValueError):
    """A text that is no frame.

    message_id: of the CALL to answer with a CALLERROR; None when there is nothing to answer
    (no readable id, or a message type that this version ignores).
    """

    def __init__(self, description: str, message_id: MessageId = None) -> None:
        super().__init__(description)
        self.description = description
        self.message_id = message_id


def parse(text: bytes) -> Frame | Several:
    """Read a frame of OCPP-J 1.6, or those that a charging point has put into one text.

    text: at most MAX_FRAME_BYTES long (the socket sees to that). Raises FrameError.
    Source: OCPP-J 1.6 section 4.2.
    """
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _mend(text)
    # One shape for nearly all traffic; everything else is looked at below.
    if type(frame) is list and len(frame) == 4 and frame[0] == CALL:
        _, message_id, action, payload = frame
        if (
            type(message_id) is str
            and 0 < len(message_id) <= MAX_MESSAGE_ID_LENGTH
            and type(action) is str
            and type(payload) is dict
            and _NUL not in text
            # What has more may be nested too deep.
            and (len(text) <= 99 or text.count(b"{") + text.count(b"[") <= MAX_DEPTH)
        ):
            return Call(message_id, action, payload, (), text)
    if isinstance(frame, str):
        return _parse_quoted(frame)
    if _are_several(frame):
        return Several(tuple(_parse_one(each, text, _SEVERAL) for each in frame[:MAX_FRAMES]))
    return _parse_carefully(frame, text, [])


def payload_of(text: bytes) -> JsonObject:
    """Return the payload of a Call's text."""
    return cast(JsonObject, orjson.loads(text)[_OF_A_CALL])


def _are_several(frame: object) -> TypeGuard[list[object]]:
    return isinstance(frame, list) and len(frame) > 1 and all(isinstance(f, list) for f in frame)


def _parse_quoted(text: str) -> Frame:
    """Read a frame that was written as a JSON text once more."""
    try:
        return _parse_carefully(orjson.loads(text), text.encode(), [RepairKind.ELEMENTS])
    except orjson.JSONDecodeError as error:
        raise FrameError(f"not JSON: {error}") from None


def _parse_one(frame: object, text: bytes, kinds: Sequence[RepairKind]) -> Frame | FrameError:
    try:
        return _parse_carefully(frame, text, list(kinds))
    except FrameError as error:
        return error


def _parse_rest(first: Frame | FrameError, text: bytes) -> Several:
    """Read the frames that follow one in the same text."""
    frames = [first]
    while text.startswith(b"[") and len(frames) < MAX_FRAMES:
        try:
            value, kinds, cut, text = lenient_json.load(text)
        except (ValueError, RecursionError):
            break
        if not cut:
            frames.append(_parse_one(value, text, (*_SEVERAL, *kinds)))
    return Several(tuple(frames))


def _mend(text: bytes) -> Frame | Several:
    """Read what is no JSON: mended where that is certain, else answered by its id."""
    try:
        value, kinds, cut, rest = lenient_json.load(text)
    except (ValueError, RecursionError) as error:
        return _unreadable(text, str(error))
    if cut and isinstance(value, list) and value and _type_of(value[0]) != CALL:
        return _unreadable(text, "cut off")
    if rest.startswith(b"["):
        return _parse_rest(_parse_one(value, text, kinds), rest)
    return _parse_carefully(value, text, list(kinds))


def _unreadable(text: bytes, why: str) -> UnreadableAnswer:
    """Return the rest of an answer to us; raises FrameError for all else."""
    head = _HEAD.match(text)
    if head is None:
        raise FrameError(why)
    try:
        message_id = orjson.loads(head[2])
    except orjson.JSONDecodeError:
        raise FrameError(why) from None
    if not _is_message_id(message_id):
        raise FrameError(why)
    if int(head[1]) == CALL:
        raise FrameError(why, message_id)
    return UnreadableAnswer(str(message_id), _text(text))


def _text(text: bytes) -> str:
    """Return what came as a person can read it and the database can hold it."""
    decoded = text[: 4 * MAX_UNREADABLE_LENGTH].decode("utf-8", "replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in decoded[:MAX_UNREADABLE_LENGTH])


def _type_of(element: object) -> int | None:
    return _TYPES.get(element) if isinstance(element, (int, float, str)) else None


def _is_message_id(element: object) -> TypeGuard[MessageId]:
    if isinstance(element, str):
        return len(element) <= MAX_ODD_MESSAGE_ID_LENGTH
    return element is None or isinstance(element, (int, float))


def _parse_carefully(frame: object, text: bytes, kinds: list[RepairKind]) -> Frame:
    if isinstance(frame, list) and len(frame) == 1 and isinstance(frame[0], list):
        frame = frame[0]
        kinds.append(RepairKind.ELEMENTS)
    if not isinstance(frame, list) or len(frame) < 2:
        raise FrameError("a frame is a JSON array of three to five elements")
    kind, message_id = _type_of(frame[0]), frame[1]
    if kind is None or isinstance(frame[0], bool):
        raise FrameError(f"message type {str(frame[0])[:20]} is unknown and ignored")
    if not _is_message_id(message_id):
        raise FrameError("a message id is a text of at most 255 characters")
    if frame[0] != kind:
        kinds.append(RepairKind.ELEMENTS)
    if kind == CALL:
        return _read_call(frame, message_id, text, kinds)
    if kind == SEND:
        action, content = (*frame[2:4], "", None)[:2]
        if not isinstance(action, str) or not isinstance(content, dict):
            return Send(str(message_id), "", {})
        if is_deeper(content, MAX_DEPTH):
            raise FrameError("nested too deep")
        return Send(str(message_id), action.replace("\x00", ""), _cleaned(content, text, kinds))
    if not isinstance(message_id, str):
        raise FrameError("the answer to a call of nobody")
    if kind in (CALL_ERROR, CALL_RESULT_ERROR):
        # Charging points in the field leave out what they have nothing to say about.
        code, description = (*frame[2:4], None, None)[:2]
        of_kind = CallError if kind == CALL_ERROR else CallResultError
        return of_kind(
            message_id,
            code.replace("\x00", "") if isinstance(code, str) else "",
            description.replace("\x00", "") if isinstance(description, str) else "",
        )
    payload = _payload(frame, _OF_A_RESULT, kinds)
    if payload is None or is_deeper(payload, MAX_DEPTH):
        return UnreadableAnswer(message_id, _text(text))
    return CallResult(
        message_id,
        _cleaned(payload, text, kinds),
        tuple(Repair("", "", kind, "") for kind in kinds),
    )


def _read_call(
    frame: list[object], message_id: MessageId, text: bytes, kinds: list[RepairKind]
) -> Call:
    action = frame[2] if len(frame) > 2 else None
    if not isinstance(action, str):
        raise FrameError("a CALL is [2, id, action, payload]", message_id)
    if not isinstance(message_id, str) or not 0 < len(message_id) <= MAX_MESSAGE_ID_LENGTH:
        kinds.append(RepairKind.MESSAGE_ID)
    payload = _payload(frame, _OF_A_CALL, kinds)
    if payload is None:
        raise FrameError("a payload is a JSON object", message_id)
    if is_deeper(payload, MAX_DEPTH):
        # Neither the validator nor the writer of JSON goes on for ever. It is refused in its turn.
        kinds.append(RepairKind.DEPTH)
        payload = {}
    payload = _cleaned(payload, text, kinds)
    action = action.replace("\x00", "")
    repairs = tuple(
        Repair(
            action[:50],
            "",
            kind,
            sample_of("", message_id) if kind is RepairKind.MESSAGE_ID else "",
        )
        for kind in kinds
    )
    return Call(message_id, action, payload, repairs)


def _payload(frame: list[object], place: int, kinds: list[RepairKind]) -> JsonObject | None:
    """Return the payload of a frame, None where there is none to be found.

    Nothing and null are an empty one, of a call a number and a truth value too; a list of one
    object is that object; JSON within a text is read. An answer that is one word is its status.
    """
    if len(frame) != place + 1:
        kinds.append(RepairKind.ELEMENTS)
    payload = frame[place] if len(frame) > place else {}
    if isinstance(payload, dict):
        return payload
    kinds.append(RepairKind.PAYLOAD)
    if isinstance(payload, list) and len(payload) <= 1:
        payload = payload[0] if payload else None
    if isinstance(payload, str):
        text = payload.strip()
        try:
            payload = orjson.loads(text) if text else None
        except orjson.JSONDecodeError:
            return {"status": text} if place == _OF_A_RESULT and text.isalpha() else None
        if isinstance(payload, list) and len(payload) == 1:
            payload = payload[0]
    if payload is None or (place == _OF_A_CALL and isinstance(payload, (bool, int, float))):
        return {}
    return payload if isinstance(payload, dict) else None


def _cleaned(payload: JsonObject, text: bytes, kinds: list[RepairKind]) -> JsonObject:
    """Return the payload without NUL; its escape in the text may be a backslash's instead."""
    if _NUL not in text:
        return payload
    cleaned = cast("JsonObject", _without_nul(payload))
    if cleaned != payload:
        kinds.append(RepairKind.CONTROL_CHARACTERS)
    return cleaned


def _without_nul(value: object) -> object:
    """Return a JSON value without NUL in its texts."""
    if isinstance(value, str):
        return value.replace("\x00", "")
    if isinstance(value, list):
        return [_without_nul(item) for item in value]
    if isinstance(value, dict):
        return {name.replace("\x00", ""): _without_nul(item) for name, item in value.items()}
    return value


def call(message_id: str, action: str, payload: JsonObject) -> bytes:
    """Write a CALL."""
    return orjson.dumps([CALL, message_id, action, payload])


def call_result(message_id: MessageId, payload: JsonObject) -> bytes:
    """Write a CALLRESULT."""
    return orjson.dumps([CALL_RESULT, message_id, payload])


def call_error(message_id: MessageId, code: str, description: str = "") -> bytes:
    """Write a CALLERROR; its details are always an empty object, never null."""
    return orjson.dumps([CALL_ERROR, message_id, code, description[:255], {}])
