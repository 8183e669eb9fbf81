"""`operations evses`."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging.database.connection import Connection
from operations import evses
from operations.command_line.asker import BY
from operations.command_line.files import import_file
from operations.command_line.output import print_text, records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    set_parser = actions.add_parser(
        "set", parents=[common], help="give a connector its EVSE id, on or off roaming"
    )
    set_parser.add_argument("charging_point")
    set_parser.add_argument("evse_number", type=int, help="the connector, from 1")
    set_parser.add_argument("evse_id", help="such as DE*VNI*E123456")
    set_parser.add_argument("--no-roaming", action="store_true", help="not offered to the hub")
    set_parser.set_defaults(run=set_one)
    import_parser = actions.add_parser(
        "import",
        parents=[common],
        help="name connectors and fill in their master data, from a CSV or JSON file",
    )
    import_parser.add_argument("file", type=Path, help="like docs/examples/evses.csv")
    import_parser.set_defaults(run=import_all)
    for name, roaming in (("offer", True), ("withdraw", False)):
        offer_parser = actions.add_parser(
            name, parents=[common], help=f"{name} EVSEs {'to' if roaming else 'from'} the hub"
        )
        offer_parser.add_argument("evse_id", nargs="+")
        offer_parser.set_defaults(run=set_roaming, roaming=roaming)
    list_parser = actions.add_parser("list", parents=[common], help="list EVSEs")
    list_parser.set_defaults(run=list_all)


def set_one(connection: Connection, options: argparse.Namespace) -> None:
    """Name a connector."""
    evse_id = evses.name(
        connection,
        options.charging_point,
        options.evse_number,
        options.evse_id,
        by=BY,
        roaming=not options.no_roaming,
    )
    if options.json:
        show_json({"evse_id": evse_id, "roaming": not options.no_roaming})
    else:
        print_text(f"{options.charging_point} connector {options.evse_number} is {evse_id}")


def import_all(connection: Connection, options: argparse.Namespace) -> None:
    """Take a file of EVSEs."""
    done = import_file(options.file, lambda text: evses.import_table(connection, text, by=BY))
    if options.json:
        show_json({"imported": done.imported, "roaming": done.roaming})
    else:
        print_text(f"{done.imported} EVSEs imported, {done.roaming} of them offered for roaming")


def set_roaming(connection: Connection, options: argparse.Namespace) -> None:
    """Offer EVSEs to the hub, or withdraw them."""
    keys = evses.set_roaming(connection, options.evse_id, by=BY, roaming=options.roaming)
    if options.json:
        show_json({"evses": keys, "roaming": options.roaming})
    else:
        word = "offered to the hub" if options.roaming else "withdrawn from the hub"
        print_text(f"{len(keys)} EVSEs {word}")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List EVSEs with their state."""
    found = evses.list_all(connection)
    show(records(found), as_json=options.json, title=f"{len(found)} EVSEs", empty="no EVSEs yet")
