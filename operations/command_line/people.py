"""`operations people`."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import people
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json
from operations.people import Role


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    list_parser = actions.add_parser("list", parents=[common], help="list accounts")
    list_parser.set_defaults(run=list_all)
    for name, run, help_text in (
        ("add", add, "make an account, and print its password once"),
        ("set-role", set_role, "change what somebody may do"),
        ("new-password", new_password, "replace a password, and print it once"),
        ("disable", set_disabled, "sign somebody out, and let them in no more"),
        ("enable", set_disabled, "let somebody in again"),
    ):
        action = actions.add_parser(name, parents=[common], help=help_text)
        action.add_argument("person", help="letters, digits and . _ @ + -")
        if name in ("add", "set-role"):
            action.add_argument("role", choices=[role.value for role in Role])
        action.set_defaults(run=run, disabled=name == "disable")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List accounts."""
    show(
        records(people.list_all(connection)),
        as_json=options.json,
        title="People",
        empty="nobody has an account yet; `people add NAME administrator` makes the first",
    )


def add(connection: Connection, options: argparse.Namespace) -> None:
    """Make an account."""
    password = people.add(connection, options.person, options.role, by=BY)
    _show(options, password=password)


def new_password(connection: Connection, options: argparse.Namespace) -> None:
    """Replace a password."""
    _show(options, password=people.set_password(connection, options.person, by=BY))


def set_role(connection: Connection, options: argparse.Namespace) -> None:
    """Change what somebody may do."""
    people.set_role(connection, options.person, options.role, by=BY)
    _show(options, role=options.role)


def set_disabled(connection: Connection, options: argparse.Namespace) -> None:
    """Disable an account, or no longer."""
    people.set_disabled(connection, options.person, options.disabled, by=BY)
    _show(options, state="disabled" if options.disabled else "enabled")


def _show(options: argparse.Namespace, **facts: str) -> None:
    if options.json:
        show_json({"person": options.person, **facts})
    else:
        (name, value), *_ = facts.items()
        print_text(f"{options.person}: {name} {value}")
