"""Every intent as a command of its own: its arguments are made from the intent's members.

What an intent must have is given in place, in the order of its members; what it may have is an
option. Lists, objects and profiles are JSON; settings are written NAME=VALUE.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from charging.command import CommandKind
from charging.intent_json import InvalidIntentError
from charging.intents import INTENTS, Intent, read_intent
from operations.errors import InvalidError

# These two have commands of their own, which look up the session or the token first.
_ELSEWHERE = (CommandKind.REMOTE_START, CommandKind.REMOTE_STOP)

_DEST = "member_"  # an intent's own names must not meet the parser's

KINDS = [kind for kind in CommandKind if kind not in _ELSEWHERE]


def word(kind: CommandKind) -> str:
    """Return the command's name on the command line."""
    return kind.value.replace("_", "-")


def describe(kind: CommandKind) -> str:
    """Return an intent's description, its first sentence first."""
    return " ".join((inspect.getdoc(INTENTS[kind]) or "").split())


def add_members(parser: argparse.ArgumentParser, kind: CommandKind) -> None:
    """Add an intent's members to a parser."""
    hints = typing.get_type_hints(INTENTS[kind])
    for member in dataclasses.fields(INTENTS[kind]):
        _add_member(parser, member, _without_none(hints[member.name]))


def _add_member(parser: argparse.ArgumentParser, member: dataclasses.Field[Any], hint: Any) -> None:
    required = (
        member.default is dataclasses.MISSING and member.default_factory is dataclasses.MISSING
    )
    option = f"--{member.name.replace('_', '-')}"
    if hint is bool:
        parser.add_argument(option, dest=_DEST + member.name, action="store_true")
    elif _is_list_of_texts(hint) or _is_texts_by_name(hint):
        metavar = "NAME=VALUE" if _is_texts_by_name(hint) else "NAME"
        parser.add_argument(_DEST + member.name, nargs="+" if required else "*", metavar=metavar)
    else:
        choices = [word.value for word in hint] if _is_enum(hint) else None
        metavar = "{" + ",".join(choices) + "}" if choices else _metavar(hint, member.name)
        if required:
            parser.add_argument(_DEST + member.name, choices=choices, metavar=metavar)
        else:
            parser.add_argument(option, dest=_DEST + member.name, choices=choices, metavar=metavar)


def intent_of(kind: CommandKind, options: argparse.Namespace) -> Intent:
    """Return the intent that was typed. Raises InvalidError with the member at fault."""
    hints = typing.get_type_hints(INTENTS[kind])
    members = {}
    for member in dataclasses.fields(INTENTS[kind]):
        typed = getattr(options, _DEST + member.name)
        if typed not in (None, [], False):
            members[member.name] = _value(_without_none(hints[member.name]), typed, member.name)
    try:
        return read_intent(kind, members)
    except InvalidIntentError as error:
        raise InvalidError(str(error)) from None


def _value(hint: Any, typed: Any, name: str) -> Any:
    """Return what was typed as the JSON value that an intent is read from."""
    if _is_texts_by_name(hint):
        pairs = [pair.partition("=") for pair in typed]
        for setting, separator, _ in pairs:
            if not separator or not setting:
                raise InvalidError(f"{name}: {setting!r} is not of the form NAME=VALUE")
        return {setting: value for setting, _, value in pairs}
    if hint in (int, float):
        try:
            return hint(typed)
        except ValueError:
            number = "a whole number" if hint is int else "a number"
            raise InvalidError(f"{name}: {typed!r} is not {number}") from None
    if not isinstance(typed, str) or hint is str or hint is datetime or _is_enum(hint):
        return typed
    try:
        return json.loads(typed)
    except ValueError as error:
        raise InvalidError(f"{name}: not JSON ({error})") from None


def _without_none(hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return next(h for h in typing.get_args(hint) if h is not types.NoneType)
    return hint


def _is_enum(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, Enum)


def _is_list_of_texts(hint: Any) -> bool:
    return typing.get_origin(hint) is tuple and typing.get_args(hint)[0] is str


def _is_texts_by_name(hint: Any) -> bool:
    origin = typing.get_origin(hint)
    return origin is not None and issubclass(origin, Mapping) and typing.get_args(hint)[1] is str


def _metavar(hint: Any, name: str) -> str:
    kinds = {int: "", str: "", float: "", datetime: ":TIME"}
    return name.upper() + kinds.get(hint, ":JSON")
