"""`operations handshakes`: who was not let in, why, and what to do about it."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import handshakes
from operations.command_line.output import records, show


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    refused = actions.add_parser(
        "refused", parents=[common], help="by cause, path and address, with advice"
    )
    refused.add_argument("charging_point", nargs="?", help="at paths that end in it")
    refused.add_argument("--limit", type=int, default=100, help="at most so many (default: 100)")
    refused.set_defaults(run=list_refused)


def list_refused(connection: Connection, options: argparse.Namespace) -> None:
    """List refused handshakes, the latest first."""
    found = handshakes.list_refused(
        connection, charging_point=options.charging_point, limit=options.limit
    )
    show(
        records(found),
        as_json=options.json,
        title="Refused handshakes",
        empty="no handshakes were refused in the last 30 days",
    )
