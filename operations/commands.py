"""Command a charging point: start and stop a session from here."""

from __future__ import annotations

import argparse
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from charging.command import (
    COMMAND_ANSWERS_CHANNEL,
    COMMANDS_CHANNEL,
    CommandKind,
    CommandState,
    Outcome,
)
from charging.identity import id_tag_key, parse_charging_point_id
from operations.output import OperationError, show_json

Connection = psycopg.Connection[Any]

DEFAULT_SECONDS = 30.0
_POLL_SECONDS = 0.5
"""How long a lost notification costs."""


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
    name = parse_charging_point_id(options.charging_point)
    known = connection.execute(
        "SELECT 1 FROM charging_points WHERE charging_point_id = %s", [name]
    ).fetchone()
    if known is None:
        raise OperationError(
            f"no charging point {name!r}; `charging-points list` shows those there are"
        )
    arguments = {"evse_number": options.evse, "id_tag": id_tag_key(options.token)}
    _command(connection, options, name, CommandKind.REMOTE_START, arguments)


def remote_stop(connection: Connection, options: argparse.Namespace) -> None:
    """Ask a charging point to end a session."""
    found = connection.execute(
        "SELECT charging_point_id, state FROM sessions WHERE session_id = %s", [options.session]
    ).fetchone()
    if found is None:
        raise OperationError(f"no session {options.session}; `sessions list` shows the newest")
    if found[1] != "charging":
        raise OperationError(f"session {options.session} has ended")
    _command(
        connection, options, found[0], CommandKind.REMOTE_STOP, {"session_id": options.session}
    )


def _command(
    connection: Connection,
    options: argparse.Namespace,
    name: str,
    kind: CommandKind,
    arguments: dict[str, Any],
) -> None:
    """Queue a command, wait for its answer and show it; what is not accepted is an error."""
    if options.timeout <= 0:
        raise OperationError("--timeout must be positive")
    connection.commit()
    connection.autocommit = True
    # Listening first: an answer may be faster than we are.
    connection.execute(f"LISTEN {COMMAND_ANSWERS_CHANNEL}")
    with connection.transaction():
        row = connection.execute(
            "INSERT INTO commands (charging_point_id, kind, arguments, requested_by, deadline)"
            " VALUES (%s, %s, %s, 'operator', now() + make_interval(secs => %s)) RETURNING command_id",
            [name, kind.value, Jsonb(arguments), options.timeout],
        ).fetchone()
        assert row is not None
        connection.execute("SELECT pg_notify(%s, %s)", [COMMANDS_CHANNEL, name])
    outcome, detail = _answer(connection, row[0])
    if options.json:
        show_json({"charging_point": name, "command": row[0], "outcome": outcome, "detail": detail})
    if outcome != Outcome.ACCEPTED:
        raise OperationError(f"{name}: {outcome}{f' ({detail})' if detail else ''}")
    if not options.json:
        print(f"{name} has accepted")


def _answer(connection: Connection, command_id: int) -> tuple[str, str]:
    """Wait until a command has an answer or its time is over; return outcome and detail."""
    while True:
        row = connection.execute(
            "SELECT state, outcome, detail, deadline < now(), sent_at FROM commands"
            " WHERE command_id = %s",
            [command_id],
        ).fetchone()
        assert row is not None
        state, outcome, detail, late, sent_at = row
        if state == CommandState.ANSWERED:
            return outcome, detail or ""
        if state == CommandState.EXPIRED or late:
            connection.execute(
                "UPDATE commands SET state = 'expired'"
                " WHERE command_id = %s AND state IN ('queued', 'sent')",
                [command_id],
            )
            if sent_at is None:
                return Outcome.OFFLINE, "no node has its connection"
            return Outcome.TIMEOUT, "it did not answer in time"
        for notification in connection.notifies(timeout=_POLL_SECONDS):
            if notification.payload == str(command_id):
                break
