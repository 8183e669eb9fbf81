"""Charging sessions and their energy."""

from __future__ import annotations

import argparse
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.identity import redact
from operations.output import OperationError, show, show_json

Connection = psycopg.Connection[Any]

_COLUMNS = """
    session_id AS session, charging_point_id AS charging_point, evse_number AS evse,
    id_tag AS token, state, started_at, ended_at, meter_start_wh, meter_stop_wh,
    coalesce(energy_wh, greatest(0, (
        SELECT max(m.energy_wh) FROM meter_values AS m
        WHERE m.session_id = sessions.session_id
          AND m.charging_point_id = sessions.charging_point_id) - meter_start_wh)) AS energy_wh,
    stop_reason
"""


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    list_parser = actions.add_parser("list", parents=[common], help="list sessions, newest first")
    list_parser.add_argument("--charging-point")
    list_parser.add_argument("--state", choices=("charging", "ended"))
    list_parser.add_argument("--limit", type=int, default=100)
    list_parser.set_defaults(run=list_all)
    show_parser = actions.add_parser(
        "show", parents=[common], help="show a session with its meter values"
    )
    show_parser.add_argument("session", type=int)
    show_parser.set_defaults(run=show_one)
    facts = actions.add_parser(
        "unassigned",
        parents=[common],
        help="ends of sessions that name a session nobody knows, for an operator to assign",
    )
    facts.set_defaults(run=list_unassigned)


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List sessions with their energy; of one that still charges, by its last reading."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            f"""
            SELECT {_COLUMNS} FROM sessions
            WHERE (%(name)s::text IS NULL OR charging_point_id = %(name)s)
              AND (%(state)s::text IS NULL OR state = %(state)s)
            ORDER BY started_at DESC, session_id DESC LIMIT %(limit)s
            """.encode(),
            {"name": options.charging_point, "state": options.state, "limit": options.limit},
        )
        .fetchall()
    )
    total = sum(row["energy_wh"] or 0 for row in rows)
    show(
        [_presentable(row) for row in rows],
        as_json=options.json,
        title=f"{len(rows)} sessions, {Decimal(total) / 1000:.3f} kWh",
        empty="no sessions",
    )


def show_one(connection: Connection, options: argparse.Namespace) -> None:
    """Show a session and each of its readings."""
    session = (
        connection.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_COLUMNS} FROM sessions WHERE session_id = %s".encode(), [options.session]
        )
        .fetchone()
    )
    if session is None:
        raise OperationError(f"no session {options.session}; `sessions list` shows the newest")
    readings = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT sampled_at, energy_wh, sampled_values FROM meter_values"
            " WHERE session_id = %s AND charging_point_id = %s ORDER BY sampled_at",
            [options.session, session["charging_point"]],
        )
        .fetchall()
    )
    if options.json:
        show_json({**_presentable(session), "meter_values": readings})
        return
    show([_presentable(session)], as_json=False, title=f"Session {options.session}", empty="")
    show(
        [
            {
                "sampled_at": reading["sampled_at"],
                "energy_wh": reading["energy_wh"],
                "samples": ", ".join(map(_sample, reading["sampled_values"])),
            }
            for reading in readings
        ],
        as_json=False,
        title=f"{len(readings)} meter values",
        empty="no meter values",
    )


def list_unassigned(connection: Connection, options: argparse.Namespace) -> None:
    """List billing facts whose session is not known."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT fact_id AS fact, charging_point_id AS charging_point, action, payload,"
            " received_at FROM unassigned_facts ORDER BY fact_id"
        )
        .fetchall()
    )
    show(rows, as_json=options.json, title=f"{len(rows)} unassigned facts", empty="none: good")


def _presentable(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "token": redact(row["token"])}


def _sample(sample: dict[str, str]) -> str:
    measurand = sample.get("measurand", "Energy.Active.Import.Register")
    phase = f" {sample['phase']}" if "phase" in sample else ""
    return f"{measurand}{phase} {sample['value']} {sample.get('unit', 'Wh')}"
