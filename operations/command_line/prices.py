"""`operations prices`."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging.database.connection import Connection
from charging.price import ALL_PROVIDERS
from operations import prices
from operations.command_line.asker import BY
from operations.command_line.files import import_file
from operations.command_line.output import print_text, records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    import_parser = actions.add_parser(
        "import", parents=[common], help="add or change prices from a CSV or JSON file"
    )
    import_parser.add_argument("file", type=Path)
    import_parser.set_defaults(run=import_all)
    list_parser = actions.add_parser("list", parents=[common], help="list prices")
    list_parser.set_defaults(run=list_all)
    remove_parser = actions.add_parser("remove", parents=[common], help="take a price away")
    remove_parser.add_argument("product")
    remove_parser.add_argument("--provider", default=ALL_PROVIDERS, help="default: for all")
    remove_parser.set_defaults(run=remove)


def import_all(connection: Connection, options: argparse.Namespace) -> None:
    """Take a file of prices."""
    count = import_file(options.file, lambda text: prices.import_table(connection, text, by=BY))
    if options.json:
        show_json({"imported": count})
    else:
        print_text(f"{count} prices imported")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List prices with how many EVSEs have them."""
    found = prices.list_all(connection)
    show(records(found), as_json=options.json, title=f"{len(found)} prices", empty="no prices yet")


def remove(connection: Connection, options: argparse.Namespace) -> None:
    """Take a price away that no EVSE has."""
    prices.remove(connection, options.product, by=BY, provider=options.provider)
    if options.json:
        show_json({"removed": options.product})
    else:
        print_text(f"{options.product} is gone")
