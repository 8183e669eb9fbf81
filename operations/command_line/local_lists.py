"""`operations local-lists`: tokens that charging points know by themselves."""

from __future__ import annotations

import argparse
from pathlib import Path

from charging.database.connection import Connection
from charging.identity import id_tag_key, redact
from charging.intents import LocalListEntry
from operations import local_lists
from operations.command_line import jobs as job_options
from operations.command_line.asker import BY
from operations.command_line.output import show
from operations.errors import InvalidError, valid


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    showing = actions.add_parser("show", parents=[common], help="what one has taken last")
    showing.add_argument("charging_point")
    showing.add_argument("--reveal", action="store_true", help="whole tokens, not their ends")
    showing.set_defaults(run=show_list)
    many = job_options.many_of_all()
    sending = actions.add_parser(
        "send",
        parents=[common, many],
        help="let charging points have all tokens that may charge, or what differs",
    )
    sending.add_argument("charging_points", nargs="*", metavar="charging_point")
    sending.add_argument("--full", action="store_true", help="the whole list, whatever they have")
    which = sending.add_mutually_exclusive_group()
    which.add_argument("--tokens", type=Path, metavar="FILE", help="these tokens, one a line")
    which.add_argument("--none", action="store_true", help="an empty list")
    sending.set_defaults(run=send)


def show_list(connection: Connection, options: argparse.Namespace) -> None:
    """Show the list that a charging point has taken last."""
    found = local_lists.of(connection, options.charging_point)
    rows = [
        {
            "token": each["id_tag"] if options.reveal else redact(each["id_tag"]),
            "allowed": each.get("allowed", True),
            "expires_at": each.get("expires_at"),
        }
        for each in (found.entries if found else ())
    ]
    title = f"Local list {found.version}" if found else ""
    show(rows, as_json=options.json, title=title, empty="it has taken none, or an empty one")


def send(connection: Connection, options: argparse.Namespace) -> None:
    """Let charging points have a list."""
    names = job_options.names_or_targets(connection, options)
    if options.none:
        entries: list[LocalListEntry] = []
    elif options.tokens:
        entries = _from_file(options.tokens)
    else:
        entries = local_lists.wanted(connection)
    if job_options.confirmed(options, f"local list of {len(entries)} tokens", names):
        job = local_lists.send(
            connection,
            names,
            entries,
            by=BY,
            pace=job_options.pace(options),
            full=options.full,
            key=options.key,
        )
        job_options.follow(connection, job, options)


def _from_file(path: Path) -> list[LocalListEntry]:
    try:
        lines = path.read_text().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidError(f"{path}: {error}") from None
    tokens = (line.strip() for line in lines)
    return [
        LocalListEntry(valid(id_tag_key, token)) for token in tokens if token and token[0] != "#"
    ]
