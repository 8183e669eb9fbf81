"""`operations vendors`: whose own messages (data transfers) are taken."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import vendors
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", parents=[common], help="who is registered")
    listing.set_defaults(run=show_list)
    for name, run, text in (
        ("add", add, "take a vendor's messages"),
        ("remove", remove, "take them no longer"),
    ):
        action = actions.add_parser(name, parents=[common], help=text)
        action.add_argument("vendor", help="as it names itself, spelled just so")
        action.add_argument("--message", default="", help="this kind only (default: any)")
        if name == "add":
            action.add_argument("--note", default="")
        action.set_defaults(run=run)


def show_list(connection: Connection, options: argparse.Namespace) -> None:
    """List the registered vendors."""
    found = records(vendors.list_all(connection))
    show(found, as_json=options.json, title="Vendors", empty="no vendors yet")


def add(connection: Connection, options: argparse.Namespace) -> None:
    """Take a vendor's messages."""
    vendors.add(connection, options.vendor, options.message, note=options.note, by=BY)
    _say(options, "messages are taken")


def remove(connection: Connection, options: argparse.Namespace) -> None:
    """Take a vendor's messages no longer."""
    vendors.remove(connection, options.vendor, options.message, by=BY)
    _say(options, "messages are no longer taken")


def _say(options: argparse.Namespace, what: str) -> None:
    if options.json:
        show_json({"vendor": options.vendor, "message": options.message})
    else:
        print_text(f"{options.vendor}: {options.message or 'all'} {what}")
