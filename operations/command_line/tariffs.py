"""`operations tariffs`."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging.database.connection import Connection
from charging.identity import redact
from operations import tariffs
from operations.command_line.asker import BY
from operations.command_line.files import import_file
from operations.command_line.output import print_text, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    import_parser = actions.add_parser(
        "import", parents=[common], help="add tariffs from a CSV or JSON file; none is changed"
    )
    import_parser.add_argument("file", type=Path)
    import_parser.set_defaults(run=import_all)
    list_parser = actions.add_parser("list", parents=[common], help="list tariffs")
    list_parser.set_defaults(run=list_all)
    assign_parser = actions.add_parser(
        "assign", parents=[common], help="let a card pay by a tariff ('default': as others do)"
    )
    assign_parser.add_argument("token")
    assign_parser.add_argument("tariff")
    assign_parser.set_defaults(run=assign)


def import_all(connection: Connection, options: argparse.Namespace) -> None:
    """Take a file of tariffs."""
    count = import_file(options.file, lambda text: tariffs.import_table(connection, text, by=BY))
    if options.json:
        show_json({"imported": count})
    else:
        print_text(f"{count} new tariffs")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List tariffs, a row for each of their periods."""
    rows = [
        {
            "tariff": version.tariff.name,
            "valid_from": version.tariff.valid_from,
            "cards": version.cards,
            "currency": version.tariff.currency,
            "tax_percent": str(version.tariff.tax_percent),
            "session_fee": str(version.tariff.session_fee),
            "idle_free_minutes": version.tariff.idle_free_minutes,
            "period": period.name or "always",
            "per_kwh": str(period.per_kwh),
            "per_minute": str(period.per_minute),
            "idle_per_minute": str(period.idle_per_minute),
        }
        for version in tariffs.list_all(connection)
        for period in version.tariff.periods
    ]
    show(rows, as_json=options.json, title="Tariffs, without tax", empty="no tariffs yet")


def assign(connection: Connection, options: argparse.Namespace) -> None:
    """Let a card pay by a tariff."""
    key = tariffs.assign(connection, options.token, options.tariff, by=BY)
    if options.json:
        show_json({"token": redact(key), "tariff": options.tariff})
    else:
        print_text(f"the token {redact(key)} pays by {options.tariff}")
