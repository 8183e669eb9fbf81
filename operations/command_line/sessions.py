"""`operations sessions`."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

from charging.database.connection import Connection
from charging.session import SessionState
from operations import sessions
from operations.command_line.output import records, show, show_json


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    list_parser = actions.add_parser("list", parents=[common], help="list sessions, newest first")
    list_parser.add_argument("--charging-point")
    list_parser.add_argument("--state", choices=[state.value for state in SessionState])
    list_parser.add_argument("--limit", type=int, default=100)
    list_parser.set_defaults(run=list_newest)
    show_parser = actions.add_parser(
        "show", parents=[common], help="show a session with its meter values"
    )
    show_parser.add_argument("session", type=int)
    show_parser.set_defaults(run=show_one)
    facts = actions.add_parser(
        "unassigned",
        parents=[common],
        help="ends of sessions that are not known, for an operator to assign",
    )
    facts.set_defaults(run=list_unassigned)


def list_newest(connection: Connection, options: argparse.Namespace) -> None:
    """List sessions with their energy; of one that still charges, by its last reading."""
    found = sessions.list_newest(
        connection,
        charging_point=options.charging_point,
        state=options.state,
        limit=options.limit,
    )
    total_wh = sum(session.energy_wh or 0 for session in found)
    show(
        records(found),
        as_json=options.json,
        title=f"{len(found)} sessions, {Decimal(total_wh) / 1000:.3f} kWh",
        empty="no sessions",
    )


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a session and each of its readings."""
    session, readings = sessions.get(connection, options.session)
    (row,) = records([session])
    if options.json:
        show_json({**row, "meter_values": records(readings)})
        return
    show([row], as_json=False, title=f"Session {options.session}", empty="")
    show(
        [
            {
                "sampled_at": reading.sampled_at,
                "energy_wh": reading.energy_wh,
                "samples": ", ".join(map(_sample, reading.sampled_values)),
            }
            for reading in readings
        ],
        as_json=False,
        title=f"{len(readings)} meter values",
        empty="no meter values",
    )


def list_unassigned(connection: Connection, options: argparse.Namespace) -> None:
    """List billing facts whose session is not known."""
    facts = sessions.list_unassigned(connection)
    show(
        records(facts),
        as_json=options.json,
        title=f"{len(facts)} unassigned facts",
        empty="none: good",
    )


def _sample(sample: dict[str, Any]) -> str:
    measurand = sample.get("measurand", "energy register")
    phase = f" {sample['phase']}" if "phase" in sample else ""
    return f"{measurand}{phase} {sample['value']} {sample.get('unit', 'Wh')}"
