"""`operations commands`: ask a charging point for something and wait for its answer."""

from __future__ import annotations

import argparse

from charging.database.commands import wait
from charging.database.connection import Connection
from operations import commands
from operations.command_line.asker import BY
from operations.command_line.output import print_text, show_json
from operations.commands import DEFAULT_SECONDS, Queued
from operations.errors import OperationError


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    timing = argparse.ArgumentParser(add_help=False)
    timing.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_SECONDS,
        metavar="SECONDS",
        help=f"how long to wait for its answer (default: {DEFAULT_SECONDS:g})",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    start = actions.add_parser(
        "remote-start", parents=[common, timing], help="let a charging point start a session"
    )
    start.add_argument("charging_point")
    start.add_argument("token", help="which is charged for it; `tokens add` makes it known")
    start.add_argument("--evse", type=int, default=1, help="its number at the charging point")
    start.set_defaults(run=remote_start)
    stop = actions.add_parser("remote-stop", parents=[common, timing], help="let it end a session")
    stop.add_argument("session", type=int)
    stop.set_defaults(run=remote_stop)


def remote_start(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point to start a session with a token."""
    queued = commands.remote_start(
        connection,
        options.charging_point,
        options.token,
        by=BY,
        evse=options.evse,
        seconds=options.timeout,
    )
    _show_result(connection, queued, as_json=options.json)


def remote_stop(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point to end a session."""
    queued = commands.remote_stop(connection, options.session, by=BY, seconds=options.timeout)
    _show_result(connection, queued, as_json=options.json)


def _show_result(connection: Connection, queued: Queued, *, as_json: bool) -> None:
    """Wait for a command's answer and show it; what is not accepted is an error."""
    result = wait(connection, queued.command, queued.seconds)
    name = queued.charging_point
    if as_json:
        show_json(
            {
                "charging_point": name,
                "command": queued.command,
                "outcome": result.outcome,
                "detail": result.detail,
            }
        )
    if not result.outcome.accepted:
        raise OperationError(
            f"{name}: {result.outcome}{f' ({result.detail})' if result.detail else ''}"
        )
    if not as_json:
        print_text(f"{name} has accepted")
