"""Tokens that may charge."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.identity import id_tag_key, redact
from operations.output import OperationError, show, show_json

Connection = psycopg.Connection[Any]


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    add_parser = actions.add_parser("add", parents=[common], help="let a token charge")
    add_parser.add_argument("token")
    add_parser.add_argument("--expires-at", type=_time, help="ISO 8601; without a zone: UTC")
    add_parser.add_argument("--parent", help="group of tokens that may stop each other's sessions")
    add_parser.add_argument("--note", default="", help="whose it is")
    add_parser.set_defaults(run=add)
    list_parser = actions.add_parser("list", parents=[common], help="list tokens")
    list_parser.add_argument("--reveal", action="store_true", help="show tokens whole")
    list_parser.set_defaults(run=list_all)
    for name, blocked in (("block", True), ("unblock", False)):
        parser_ = actions.add_parser(name, parents=[common], help=f"{name} a token")
        parser_.add_argument("token")
        parser_.set_defaults(run=set_blocked, blocked=blocked)


def add(connection: Connection, options: argparse.Namespace) -> None:
    """Let a token charge."""
    key = id_tag_key(options.token)
    parent = id_tag_key(options.parent) if options.parent else None
    added = connection.execute(
        "INSERT INTO tokens (id_tag, expires_at, parent_id_tag, note) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [key, options.expires_at, parent, options.note],
    )
    if added.rowcount == 0:
        raise OperationError(f"the token {redact(key)} is there already")
    _say(options, key, "may charge")


def set_blocked(connection: Connection, options: argparse.Namespace) -> None:
    """Block a token, or no longer."""
    key = id_tag_key(options.token)
    changed = connection.execute(
        "UPDATE tokens SET blocked = %s WHERE id_tag = %s", [options.blocked, key]
    )
    if changed.rowcount == 0:
        raise OperationError(f"no token {redact(key)}; `tokens list` shows those there are")
    _say(options, key, "is blocked" if options.blocked else "may charge")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List tokens; all but their ends are hidden, for they are keys."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT id_tag AS token, blocked, expires_at, parent_id_tag AS parent, note, created_at"
            " FROM tokens ORDER BY created_at, id_tag"
        )
        .fetchall()
    )
    if not options.reveal:
        for row in rows:
            row["token"] = redact(row["token"])
            row["parent"] = row["parent"] and redact(row["parent"])
    show(
        rows,
        as_json=options.json,
        title=f"{len(rows)} tokens",
        empty="no tokens yet; `tokens add TOKEN` lets one charge",
    )


def _say(options: argparse.Namespace, key: str, what: str) -> None:
    if options.json:
        show_json({"token": redact(key), "state": what})
    else:
        print(f"the token {redact(key)} {what}")


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)
