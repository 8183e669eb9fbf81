"""What is typed for a command, in a command line or a form, becomes an intent.

An intent's members are those of its dataclass. Lists, objects and profiles are typed as JSON;
settings as NAME=VALUE, one a word or a line.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any

from charging.command import CommandKind
from charging.intent_json import InvalidIntentError
from charging.intents import INTENTS, Intent, read_intent
from operations.errors import InvalidError


class MemberKind(StrEnum):
    """How a member is typed."""

    FLAG = "flag"
    TEXT = "text"
    WHOLE = "whole number"
    NUMBER = "number"
    TIME = "time"
    CHOICE = "choice"
    TEXTS = "texts"
    TEXTS_BY_NAME = "texts by name"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an intent. choices: of a CHOICE. secret: shown to nobody."""

    name: str
    kind: MemberKind
    required: bool
    choices: tuple[str, ...] = ()
    secret: bool = False


def describe(kind: CommandKind) -> str:
    """Return an intent's description, its first sentence first."""
    return " ".join((inspect.getdoc(INTENTS[kind]) or "").split())


def members(kind: CommandKind) -> list[Member]:
    """Return the members of what a kind of command asks, in order."""
    intent = INTENTS[kind]
    hints = typing.get_type_hints(intent)
    return [_member(intent, field, hints[field.name]) for field in dataclasses.fields(intent)]


def read(kind: CommandKind, typed: Mapping[str, Any]) -> Intent:
    """Return the intent that was typed. Raises InvalidError with the member at fault.

    typed: member → a text; of FLAG whether it is set, of TEXTS and TEXTS_BY_NAME a list of texts.
    Members that are not typed, or empty, are left out.
    """
    given = {}
    for member in members(kind):
        value = typed.get(member.name)
        if value not in (None, "", [], False):
            given[member.name] = _value(member, value)
    try:
        return read_intent(kind, given)
    except InvalidIntentError as error:
        raise InvalidError(str(error)) from None


def _member(intent: type[Intent], field: dataclasses.Field[Any], hint: Any) -> Member:
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    hint = _without_none(hint)
    choices: tuple[str, ...] = ()
    if isinstance(hint, type) and issubclass(hint, Enum):
        kind, choices = MemberKind.CHOICE, tuple(option.value for option in hint)
    else:
        kind = _SIMPLE.get(hint) or _kind_of_many(hint)
    return Member(field.name, kind, required, choices, field.name in intent.secrets)


_SIMPLE = {
    bool: MemberKind.FLAG,
    str: MemberKind.TEXT,
    int: MemberKind.WHOLE,
    float: MemberKind.NUMBER,
    datetime: MemberKind.TIME,
}


def _kind_of_many(hint: Any) -> MemberKind:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple and arguments[0] is str:
        return MemberKind.TEXTS
    if origin is not None and issubclass(origin, Mapping) and arguments[1] is str:
        return MemberKind.TEXTS_BY_NAME
    return MemberKind.JSON


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(h for h in typing.get_args(hint) if h is not types.NoneType)
    return hint


def _value(member: Member, typed: Any) -> Any:
    """Return what was typed as the JSON value that an intent is read from."""
    match member.kind:
        case MemberKind.TEXTS_BY_NAME:
            return _texts_by_name(member.name, typed)
        case MemberKind.WHOLE:
            return _number(int, "a whole number", member.name, typed)
        case MemberKind.NUMBER:
            return _number(float, "a number", member.name, typed)
        case MemberKind.JSON:
            try:
                return json.loads(typed)
            except ValueError as error:
                raise InvalidError(f"{member.name}: not JSON ({error})") from None
    return typed


def _texts_by_name(name: str, typed: Sequence[str]) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in typed]
    for setting, separator, _ in pairs:
        if not separator or not setting:
            raise InvalidError(f"{name}: {setting!r} is not of the form NAME=VALUE")
    return {setting: value for setting, _, value in pairs}


def _number(kind: Any, words: str, name: str, typed: str) -> Any:
    try:
        return kind(typed)
    except ValueError:
        raise InvalidError(f"{name}: {typed!r} is not {words}") from None
