"""`operations api-keys`."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import api_keys
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json
from operations.people import Role


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    list_parser = actions.add_parser("list", parents=[common], help="list keys, not their text")
    list_parser.set_defaults(run=list_all)
    add_parser = actions.add_parser("add", parents=[common], help="make a key, and print it once")
    add_parser.add_argument("name", help="whose it is, such as the program")
    add_parser.add_argument("role", choices=[role.value for role in Role])
    add_parser.set_defaults(run=add)
    revoke_parser = actions.add_parser("revoke", parents=[common], help="let it open nothing more")
    revoke_parser.add_argument("api_key", type=int, help="its number in the list")
    revoke_parser.set_defaults(run=revoke)


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List keys."""
    show(
        records(api_keys.list_all(connection)),
        as_json=options.json,
        title="Keys of the API",
        empty="no program may use the API yet; `api-keys add NAME ROLE` makes a key",
    )


def add(connection: Connection, options: argparse.Namespace) -> None:
    """Make a key."""
    key = api_keys.add(connection, options.name, options.role, by=BY)
    if options.json:
        show_json({"name": options.name, "role": options.role, "key": key})
    else:
        print_text(f"{options.name}: key {key}")


def revoke(connection: Connection, options: argparse.Namespace) -> None:
    """Let a key open nothing any more."""
    api_keys.revoke(connection, options.api_key, by=BY)
    if options.json:
        show_json({"api_key": options.api_key, "state": "revoked"})
    else:
        print_text(f"key {options.api_key}: revoked")
