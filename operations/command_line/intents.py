"""Every intent as a command of its own: its arguments are made from the intent's members.

What an intent must have is given in place, in the order of its members; what it may have is an
option. `operations.intent_members` says how they are typed.
"""

from __future__ import annotations

import argparse

from charging.command import CommandKind
from charging.intents import Intent
from operations import intent_members
from operations.intent_members import Member, MemberKind

# These two have commands of their own, which look up the session or the token first.
_ELSEWHERE = (CommandKind.REMOTE_START, CommandKind.REMOTE_STOP)

_DEST = "member_"  # an intent's own names must not meet the parser's
_LISTS = {MemberKind.TEXTS: "NAME", MemberKind.TEXTS_BY_NAME: "NAME=VALUE"}
_SUFFIXES = {MemberKind.TIME: ":TIME", MemberKind.JSON: ":JSON"}

KINDS = [kind for kind in CommandKind if kind not in _ELSEWHERE]

describe = intent_members.describe


def word(kind: CommandKind) -> str:
    """Return the command's name on the command line."""
    return kind.value.replace("_", "-")


def add_members(parser: argparse.ArgumentParser, kind: CommandKind) -> None:
    """Add an intent's members to a parser."""
    for member in intent_members.members(kind):
        _add_member(parser, member)


def _add_member(parser: argparse.ArgumentParser, member: Member) -> None:
    option, dest = f"--{member.name.replace('_', '-')}", _DEST + member.name
    if member.kind is MemberKind.FLAG:
        parser.add_argument(option, dest=dest, action="store_true")
    elif member.kind in _LISTS:
        nargs = "+" if member.required else "*"
        parser.add_argument(dest, nargs=nargs, metavar=_LISTS[member.kind])
    else:
        choices = list(member.choices) or None
        metavar = member.name.upper() + _SUFFIXES.get(member.kind, "")
        if choices:
            metavar = "{" + ",".join(choices) + "}"
        if member.required:
            parser.add_argument(dest, choices=choices, metavar=metavar)
        else:
            parser.add_argument(option, dest=dest, choices=choices, metavar=metavar)


def intent_of(kind: CommandKind, options: argparse.Namespace) -> Intent:
    """Return the intent that was typed. Raises InvalidError with the member at fault."""
    typed = {
        member.name: getattr(options, _DEST + member.name)
        for member in intent_members.members(kind)
    }
    return intent_members.read(kind, typed)
