"""EVSEs: the names under which connectors are known in roaming."""

from __future__ import annotations

import argparse
from typing import Any

import psycopg
from psycopg.rows import dict_row

from charging.identity import evse_id_key, parse_evse_id
from operations.output import OperationError, show, show_json

Connection = psycopg.Connection[Any]


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
    list_parser = actions.add_parser("list", parents=[common], help="list EVSEs")
    list_parser.set_defaults(run=list_all)


def set_one(connection: Connection, options: argparse.Namespace) -> None:
    """Name a connector."""
    evse_id = parse_evse_id(options.evse_id)
    if options.evse_number < 1:
        raise OperationError("connectors are counted from 1; 0 is the whole charging point")
    try:
        connection.execute(
            """
            INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, roaming)
            VALUES (%s, %s, %s, %s, %s)
            ON CONFLICT (charging_point_id, evse_number) DO UPDATE
            SET evse_id = excluded.evse_id, evse_id_key = excluded.evse_id_key,
                roaming = excluded.roaming
            """,
            [
                options.charging_point,
                options.evse_number,
                evse_id,
                evse_id_key(evse_id),
                not options.no_roaming,
            ],
        )
    except psycopg.errors.ForeignKeyViolation:
        raise OperationError(
            f"no charging point {options.charging_point!r}; register it first"
        ) from None
    except psycopg.errors.UniqueViolation:
        raise OperationError(
            f"{evse_id} is another connector's; `evses list` shows whose"
        ) from None
    if options.json:
        show_json({"evse_id": evse_id, "roaming": not options.no_roaming})
    else:
        print(f"{options.charging_point} connector {options.evse_number} is {evse_id}")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List EVSEs with their status."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            "SELECT charging_point_id AS charging_point, evse_number AS evse, evse_id, roaming,"
            " status, error_code, status_at FROM evses WHERE evse_number > 0"
            " ORDER BY charging_point_id, evse_number"
        )
        .fetchall()
    )
    show(rows, as_json=options.json, title=f"{len(rows)} EVSEs", empty="no EVSEs yet")
