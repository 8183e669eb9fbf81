"""`operations tokens`."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from charging.identity import redact
from operations import erasure, tokens
from operations.command_line.asker import BY
from operations.command_line.output import print_error, print_text, records, show, show_json
from operations.command_line.times import read_time
from operations.errors import ConflictError


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    add_parser = actions.add_parser("add", parents=[common], help="let a token charge")
    add_parser.add_argument("token")
    add_parser.add_argument("--expires-at", type=read_time, help="ISO 8601; without a zone: UTC")
    add_parser.add_argument("--parent", help="group of tokens that may stop each other's sessions")
    add_parser.add_argument("--note", default="", help="whose it is")
    add_parser.set_defaults(run=add)
    list_parser = actions.add_parser("list", parents=[common], help="list tokens")
    list_parser.add_argument("--reveal", action="store_true", help="show tokens whole")
    list_parser.set_defaults(run=list_all)
    expiry = actions.add_parser(
        "set-expiry", parents=[common], help="until when a token may charge"
    )
    expiry.add_argument("token")
    expiry.add_argument(
        "--expires-at", type=read_time, help="ISO 8601; without a zone: UTC (default: never)"
    )
    expiry.set_defaults(run=set_expiry)
    refused = actions.add_parser(
        "refused", parents=[common], help="cards that were shown and may not charge, and why"
    )
    refused.add_argument("--charging-point")
    refused.add_argument("--limit", type=int, default=100)
    refused.add_argument("--reveal", action="store_true", help="show tokens whole")
    refused.set_defaults(run=list_refused)
    adopt_parser = actions.add_parser(
        "adopt", parents=[common], help="let a refused card charge, by its number there"
    )
    adopt_parser.add_argument("number", type=int)
    adopt_parser.add_argument(
        "--expires-at", type=read_time, help="ISO 8601; without a zone: UTC (default: never)"
    )
    adopt_parser.add_argument("--parent", help="as in `tokens add`")
    adopt_parser.add_argument("--note", default="", help="whose it is")
    adopt_parser.set_defaults(run=adopt)
    erase_parser = actions.add_parser(
        "erase",
        parents=[common],
        help="forget a card: a hash takes its place everywhere, the books stay",
        description="Put a keyed hash in a card's place in every table. It cannot be undone.",
    )
    erase_parser.add_argument("token")
    erase_parser.add_argument(
        "--forget-local-lists",
        action="store_true",
        help="although charging points have it in their lists and may admit it",
    )
    erase_parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    erase_parser.set_defaults(run=erase)
    for name, blocked in (("block", True), ("unblock", False)):
        parser_ = actions.add_parser(name, parents=[common], help=f"{name} a token")
        parser_.add_argument("token")
        parser_.set_defaults(run=set_blocked, blocked=blocked)


def add(connection: Connection, options: argparse.Namespace) -> None:
    """Let a token charge."""
    key = tokens.add(
        connection,
        options.token,
        by=BY,
        expires_at=options.expires_at,
        parent=options.parent,
        note=options.note,
    )
    _show(key, "may charge", as_json=options.json)


def set_blocked(connection: Connection, options: argparse.Namespace) -> None:
    """Block a token, or no longer."""
    key = tokens.set_blocked(connection, options.token, by=BY, blocked=options.blocked)
    _show(key, "is blocked" if options.blocked else "may charge", as_json=options.json)


def set_expiry(connection: Connection, options: argparse.Namespace) -> None:
    """Set until when a token may charge."""
    key = tokens.set_expiry(connection, options.token, by=BY, expires_at=options.expires_at)
    until = f"may charge until {options.expires_at}" if options.expires_at else "never expires"
    _show(key, until, as_json=options.json)


def erase(connection: Connection, options: argparse.Namespace) -> None:
    """Erase a card, after it was confirmed."""
    if not options.yes:
        print_error(f"{redact(options.token)} cannot be found again after it was erased.")
        if input("Erase it? [y/N] ").strip().lower() not in ("y", "yes"):
            raise ConflictError("nothing was erased")
    erased = erasure.erase_token(
        connection, options.token, by=BY, forget_local_lists=options.forget_local_lists
    )
    if options.json:
        show_json({"stand_in": erased.stand_in, "rows": erased.rows})
        return
    rows = ", ".join(f"{count} of {table}" for table, count in erased.rows.items())
    print_text(f"{erased.stand_in} has taken its place in rows: {rows}")


def list_refused(connection: Connection, options: argparse.Namespace) -> None:
    """List tokens that were shown and may not charge."""
    found = tokens.list_refused(
        connection,
        charging_point=options.charging_point,
        limit=options.limit,
        reveal=options.reveal,
    )
    show(
        records(found),
        as_json=options.json,
        title="Cards that were shown and may not charge",
        empty="no card was refused in the last 90 days",
    )


def adopt(connection: Connection, options: argparse.Namespace) -> None:
    """Let a refused token charge."""
    key = tokens.adopt(
        connection,
        options.number,
        by=BY,
        expires_at=options.expires_at,
        parent=options.parent,
        note=options.note,
    )
    _show(key, "may charge", as_json=options.json)


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List tokens; all but their ends are hidden, for they are keys."""
    found = tokens.list_all(connection, reveal=options.reveal)
    show(
        records(found),
        as_json=options.json,
        title=f"{len(found)} tokens",
        empty="no tokens yet; `tokens add TOKEN` lets one charge",
    )


def _show(key: str, state: str, *, as_json: bool) -> None:
    if as_json:
        show_json({"token": redact(key), "state": state})
    else:
        print_text(f"the token {redact(key)} {state}")
