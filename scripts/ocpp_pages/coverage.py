"""docs/ocpp.md: each action of each version, who calls it, and what happens. From the dialects."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from charging.command import CommandKind
from charging.intents import INTENTS
from cp_backend.handlers import HANDLERS
from cp_backend.ocpp.actions import AnyIncoming
from cp_backend.ocpp.dialect import DIALECTS, Dialect
from cp_backend.ocpp.schemas import schemas
from scripts.ocpp_pages.directions import BY_CHARGING_POINTS, EITHER_SIDE, REFUSED, SCHEMAS
from scripts.ocpp_pages.examples import EXAMPLES

PAGE = Path(__file__).resolve().parents[2] / "docs/ocpp.md"
UP, DOWN = "charging point → us", "us → charging point"
READ, WRITTEN, RAW, REFUSED_WORD, ABSENT = "read", "written", "as raw call", "refused", "not yet"


@dataclass(frozen=True, slots=True)
class Row:
    """One action in one direction. what: read, written, as raw call, refused, or not yet."""

    action: str
    direction: str
    what: str
    how: str


def rows(version: str, dialect: Dialect | None = None) -> list[Row]:
    """Return what happens with each action of a version, by name. dialect: None for ours."""
    dialect = dialect or DIALECTS.get(version)
    written = {} if dialect is None else _written(dialect)
    found = []
    for action in sorted(schemas(SCHEMAS[version]).actions):
        by_charging_points = action in BY_CHARGING_POINTS[version]
        if by_charging_points:
            found.append(_incoming_row(version, dialect, action))
        if not by_charging_points or action in EITHER_SIDE:
            found.append(_outgoing_row(dialect, action, written.get(action, [])))
    return found


def _incoming_row(version: str, dialect: Dialect | None, action: str) -> Row:
    if dialect is None:
        return Row(action, UP, ABSENT, "")
    row = dialect.incoming.get(action)
    if row is not None and row.refuses:
        return Row(
            action, UP, REFUSED_WORD, f"Kept, and answered that it is not done: {row.refuses}."
        )
    if row is not None:
        return Row(action, UP, READ, _handler(row))
    row = (dialect.unanswered or {}).get(action)
    if row is not None:
        return Row(action, UP, READ, f"{_handler(row)} Never answered.")
    reason = REFUSED[version].get(action)
    return Row(action, UP, REFUSED_WORD if reason else ABSENT, reason or "")


def _handler(row: AnyIncoming) -> str:
    """Return what the handler of an action's message says it does, its first sentence."""
    read = row.read.func if isinstance(row.read, functools.partial) else row.read
    try:
        message = typing.get_type_hints(read).get("return")
    except (NameError, TypeError):  # a partial, or types that are imported for checking alone
        return ""
    # One that reads several messages tells of the last: the others are another action's.
    messages = [message, *typing.get_args(message)]
    handlers = [HANDLERS[each] for each in messages if each in HANDLERS]
    handler = handlers[-1] if handlers else None
    return "" if handler is None else _sentence(inspect.getdoc(handler))


def _outgoing_row(dialect: Dialect | None, action: str, kinds: list[CommandKind]) -> Row:
    if dialect is None:
        return Row(action, DOWN, ABSENT, "")
    if kinds:
        commands = (f"`commands {k.value.replace('_', '-')}`: {_purpose(k)}" for k in kinds)
        return Row(action, DOWN, WRITTEN, "; ".join(commands))
    if CommandKind.CALL in dialect.outgoing:
        return Row(action, DOWN, RAW, f"`commands call … {action} PAYLOAD`")
    return Row(action, DOWN, ABSENT, "")


def _purpose(kind: CommandKind) -> str:
    sentence = _sentence(inspect.getdoc(INTENTS[kind])).removesuffix(".")
    return sentence[:1].lower() + sentence[1:]


def _sentence(text: str | None) -> str:
    paragraph = " ".join((text or "").split("\n\n")[0].split())
    return paragraph.split(". ")[0].removesuffix(".") + "." if paragraph else ""


def _written(dialect: Dialect) -> dict[str, list[CommandKind]]:
    """Return the commands that call an action, raw calls left out."""
    found: dict[str, list[CommandKind]] = {}
    for intent in EXAMPLES:
        outgoing = dialect.outgoing.get(intent.kind)
        if outgoing is None or intent.kind is CommandKind.CALL:
            continue
        try:
            calls = outgoing.plan(intent.arguments())
        except ValueError:  # this version has not this form of it
            continue
        for call in calls:
            kinds = found.setdefault(call.action, [])
            if intent.kind not in kinds:
                kinds.append(intent.kind)
    return found


def text() -> str:
    """Return the page."""
    sections = "\n".join(_section(version) for version in SCHEMAS)
    return f"""# OCPP: what happens with each action

<!-- Written by `make ocpp-pages` from the dialects' tables; a test keeps it true. -->

{_summary()}

*Read* is answered after what it reports has been committed, and kept. *Written* has a command of its own on the command line (`python -m operations commands …`), whose answer is read and kept whole; every action of ours can be sent *as raw call* too: `commands call CHARGING_POINT ACTION PAYLOAD`, its payload held against the schema first. *Refused* is kept and answered with the refusal that its own answer has, or with an error. An action that only we may call, called by a charging point, is answered NotSupported; one that its version does not have NotImplemented.

What a charging point says is held against the official schema and repaired where it deviates ([decision 60](decisions/0060-repairing-what-charging-points-say.md)). Each action of a version that is spoken is tried in both directions against an independent client, the PyPI package `ocpp`, over a real socket (`tests/contract`). [Conformance](conformance.md) has the Open Charge Alliance's test cases.

{sections}"""


def _summary() -> str:
    lines = ["| Version | Actions | " + " | ".join(_WORDS) + " |", "|---" * (2 + len(_WORDS)) + "|"]
    for version in SCHEMAS:
        found = rows(version)
        counts = (str(sum(row.what == word for row in found)) for word in _WORDS)
        actions = len({row.action for row in found})
        lines.append(f"| {version} | {actions} | " + " | ".join(counts) + " |")
    lines.append("")
    lines.append("DataTransfer is counted in both directions.")
    return "\n".join(lines)


_WORDS = (READ, WRITTEN, RAW, REFUSED_WORD, ABSENT)


def _section(version: str) -> str:
    head = f"## OCPP {version}\n\n"
    if version not in DIALECTS:
        return f"{head}Not spoken yet: its subprotocol is not agreed to. Its schemas are known.\n"
    return head + _table(rows(version))


def _table(found: Iterable[Row]) -> str:
    lines = ["| Action | Direction | What happens | How |", "|---|---|---|---|"]
    lines += [f"| {row.action} | {row.direction} | {row.what} | {row.how} |" for row in found]
    return "\n".join(lines) + "\n"
