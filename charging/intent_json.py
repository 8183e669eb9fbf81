"""Intents as JSON objects and back, by the type hints of their dataclasses.

Read strictly, since what stands in a row becomes a call to hardware: each error names its member by
its path (``profile.periods[0].limit``).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from enum import Enum
from functools import cache
from typing import Any


class InvalidIntentError(ValueError):
    """Arguments that make no intent. field: the member at fault, '' for the whole."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(f"{field}: {sentence}" if field else sentence)
        self.field = field


def check(holds: bool, field: str, sentence: str) -> None:
    """Raise InvalidIntentError about a field unless something holds."""
    if not holds:
        raise InvalidIntentError(field, sentence)


def to_json(value: Any) -> Any:
    """Return a member of an intent as a JSON value, times in ISO 8601 with an offset."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple):
        return [to_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {
            f.name: to_json(getattr(value, f.name))
            for f in fields(value)
            # None is left out where it is what a reader takes for an absent member, only there
            if getattr(value, f.name) is not None or f.default is not None
        }
    return dict(value) if isinstance(value, Mapping) else value


@cache
def _types(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def read(kind: Any, value: Any, path: str) -> Any:
    """Return a JSON value as what a type hint asks for. Raises InvalidIntentError.

    path: of the value in the whole, '' for the whole itself. Members of objects that the hint does
    not know are passed over.
    """
    if dataclasses.is_dataclass(kind):
        return _read_object(kind, value, path)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        options = [option for option in typing.get_args(kind) if option is not types.NoneType]
        return None if value is None else read(options[0], value, path)
    if origin is tuple:
        check(isinstance(value, list), path, "must be a list")
        item = typing.get_args(kind)[0]
        return tuple(read(item, v, f"{path}[{place}]") for place, v in enumerate(value))
    if origin is not None:
        check(isinstance(value, Mapping), path, "must be an object")
        members = typing.get_args(kind)[1]
        return {
            str(name): v if members is Any else read(members, v, f"{path}.{name}")
            for name, v in value.items()
        }
    if kind is datetime:
        return _read_time(value, path)
    if issubclass(kind, Enum):
        words = [option.value for option in kind]
        check(value in words, path, f"must be one of {', '.join(words)}")
        return kind(value)
    if kind is float:
        check(type(value) in (int, float), path, "must be a number")
        return float(value)
    names = {int: "a whole number", str: "a text", bool: "true or false"}
    check(type(value) is kind, path, f"must be {names[kind]}")
    return value


def _read_object(kind: Any, value: Any, path: str) -> Any:
    check(isinstance(value, Mapping), path, "must be an object")
    hints = _types(kind)
    members: dict[str, Any] = {}
    for f in fields(kind):
        member = f"{path}.{f.name}" if path else f.name
        if value.get(f.name) is not None:
            members[f.name] = read(hints[f.name], value[f.name], member)
        elif f.name in value and types.NoneType in typing.get_args(hints[f.name]):
            members[f.name] = None
        elif f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InvalidIntentError(member, "is missing")
    try:
        return kind(**members)
    except InvalidIntentError as error:
        if path and error.field:
            sentence = str(error).removeprefix(f"{error.field}: ")
            raise InvalidIntentError(f"{path}.{error.field}", sentence) from None
        raise


def _read_time(value: Any, path: str) -> datetime:
    try:
        time = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InvalidIntentError(path, "must be a time in ISO 8601") from None
    check(time.tzinfo is not None, path, "must have an offset from UTC, such as Z")
    return time
