"""Changes of frames, before and after they are text, and commands that are rejected."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from charging_point_simulator.deviations.deviation import Payload

_CALL, _CALL_RESULT, _CALL_ERROR = 2, 3, 4


def null_payload(frame: list[Any]) -> None:
    """Put null for an empty payload."""
    if frame[0] == _CALL and frame[3] == {}:
        frame[3] = None


def list_payload(frame: list[Any]) -> None:
    """Put a list for an empty payload."""
    if frame[0] == _CALL and frame[3] == {}:
        frame[3] = []


def five_elements(frame: list[Any]) -> None:
    """Give a call a fifth element."""
    if frame[0] == _CALL:
        frame.append({})


def null_error_code(frame: list[Any]) -> None:
    """Take the code from an error."""
    if frame[0] == _CALL_ERROR:
        frame[2] = None


def cut_off_answer(frame: list[Any], text: str) -> str:
    """Cut an answer in the middle."""
    return text[: len(text) // 2] if frame[0] == _CALL_RESULT else text


def raw_nul(frame: list[Any], text: str) -> str:
    """Put a NUL into the info of a status, as a byte and not as its escape."""
    if frame[0] == _CALL and frame[2] == "StatusNotification":
        frame[3]["info"] = "ab\0"
        return json.dumps(frame).replace("\\u0000", "\0")
    return text


def leading_comma(frame: list[Any], text: str) -> str:
    """Put a comma before the first sample."""
    return text.replace('"sampledValue": [{', '"sampledValue": [,{')


def rejects(
    actions: tuple[str, ...], disliked: Callable[[Payload], bool], status: str = "Rejected"
) -> Callable[[str, Payload], Payload | None]:
    """Return what answers some commands with a status, and leaves the others alone."""
    return lambda action, payload: (
        {"status": status} if action in actions and disliked(payload) else None
    )
