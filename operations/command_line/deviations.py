"""`operations deviations`: what charging points send in other forms than the standard's."""

from __future__ import annotations

import argparse

from charging.database.connection import Connection
from operations import deviations
from operations.command_line.asker import BY
from operations.command_line.output import print_text, records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser(
        "list", parents=[common], help="by model, member and repair, the most frequent first"
    )
    listing.add_argument("--charging-point", help="its own only")
    listing.add_argument("--limit", type=int, default=100)
    listing.set_defaults(run=list_most)
    setting = actions.add_parser(
        "set", parents=[common], help="how a charging point is taken, from its next connection on"
    )
    setting.add_argument("id", help="its identity")
    strictness = setting.add_mutually_exclusive_group()
    strictness.add_argument(
        "--strict", action="store_true", default=None, help="refuse what deviates; for tests"
    )
    strictness.add_argument(
        "--tolerant", action="store_false", dest="strict", help="repair what deviates (default)"
    )
    setting.add_argument(
        "--free-charging",
        action=argparse.BooleanOptionalAction,
        help="whether sessions without a token are accepted",
    )
    setting.add_argument(
        "--time-zone", metavar="ZONE", help="of times without one, such as Europe/Berlin"
    )
    setting.set_defaults(run=set_handling)


def list_most(connection: Connection, options: argparse.Namespace) -> None:
    """List deviations."""
    found = deviations.list_most(
        connection, charging_point=options.charging_point, limit=options.limit
    )
    show(
        records(found),
        as_json=options.json,
        title="Deviations from the standard",
        empty="nothing has deviated from the standard",
    )


def set_handling(connection: Connection, options: argparse.Namespace) -> None:
    """Set how a charging point is taken."""
    deviations.set_handling(
        connection,
        options.id,
        by=BY,
        strict=options.strict,
        free_charging=options.free_charging,
        time_zone=options.time_zone,
    )
    if options.json:
        show_json({"charging_point": options.id, "handling": "set"})
    else:
        print_text(f"{options.id}: counts from its next connection on")
