"""EVSEs: the names of connectors in roaming, and what drivers are told of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from charging.event import EVENTS_CHANNEL, EventKind
from charging.identity import evse_id_key, parse_evse_id
from charging.master_data import details, read_evses
from charging.tables import Fault, Row
from operations.output import OperationError, show, show_json
from operations.tables import read_file, refuse

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
    import_parser = actions.add_parser(
        "import",
        parents=[common],
        help="name connectors and say what drivers are told of them, from a CSV or JSON file",
    )
    import_parser.add_argument("file", type=Path, help="like docs/examples/evses.csv")
    import_parser.set_defaults(run=import_file)
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
    evse_id = parse_evse_id(options.evse_id)
    if options.evse_number < 1:
        raise OperationError("connectors are counted from 1; 0 is the whole charging point")
    try:
        _name(
            connection,
            options.charging_point,
            options.evse_number,
            evse_id,
            roaming=not options.no_roaming,
            former_key=_key_of(connection, options.charging_point, options.evse_number),
        )
    except psycopg.errors.ForeignKeyViolation:
        raise OperationError(
            f"no charging point {options.charging_point!r}; register it first"
        ) from None
    except psycopg.errors.UniqueViolation:
        raise OperationError(
            f"{evse_id} is another connector's; `evses list` shows whose"
        ) from None
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
    if options.json:
        show_json({"evse_id": evse_id, "roaming": not options.no_roaming})
    else:
        print(f"{options.charging_point} connector {options.evse_number} is {evse_id}")


def _key_of(connection: Connection, charging_point_id: str, number: int) -> str | None:
    row = connection.execute(
        "SELECT evse_id_key FROM evses WHERE charging_point_id = %s AND evse_number = %s",
        [charging_point_id, number],
    ).fetchone()
    return row[0] if row else None


def _name(
    connection: Connection,
    charging_point_id: str,
    number: int,
    evse_id: str,
    *,
    roaming: bool,
    former_key: str | None,
) -> None:
    """Name a connector, and write the event that tells of it."""
    key = evse_id_key(evse_id)
    connection.execute(
        """
        INSERT INTO evses (charging_point_id, evse_number, evse_id, evse_id_key, roaming)
        VALUES (%s, %s, %s, %s, %s)
        ON CONFLICT (charging_point_id, evse_number) DO UPDATE
        SET evse_id = excluded.evse_id, evse_id_key = excluded.evse_id_key,
            roaming = excluded.roaming
        """,
        [charging_point_id, number, evse_id, key, roaming],
    )
    changed: dict[str, Any] = {"evse_number": number}
    if former_key not in (None, key):
        changed["former_key"] = former_key
    _tell(connection, charging_point_id, changed)


def _tell(connection: Connection, charging_point_id: str, changed: dict[str, Any]) -> None:
    connection.execute(
        "INSERT INTO events (kind, charging_point_id, payload, occurred_at)"
        " VALUES (%s, %s, %s, now())",
        [EventKind.EVSE_CHANGED.value, charging_point_id, Jsonb(changed)],
    )


def import_file(connection: Connection, options: argparse.Namespace) -> None:
    """Take a whole file of EVSEs, or nothing of it."""
    rows, faults = read_file(options.file, read_evses)
    refuse(options.file, [*faults, *_faults_of_place(connection, rows)])
    former = {
        place: _key_of(connection, *place)
        for place in ((row["charging_point"], row["evse_number"]) for _, row in rows)
    }
    # Names may change places within a file, so all are free before any is given.
    connection.execute(
        "UPDATE evses SET evse_id = NULL, evse_id_key = NULL"
        " FROM unnest(%s::text[], %s::int[], %s::text[]) AS t (charging_point_id, number, key)"
        " WHERE evses.charging_point_id = t.charging_point_id AND evse_number = number"
        " AND evse_id_key <> key",
        [
            [row["charging_point"] for _, row in rows],
            [row["evse_number"] for _, row in rows],
            [evse_id_key(row["evse_id"]) for _, row in rows],
        ],
    )
    for _, row in rows:
        place = (row["charging_point"], row["evse_number"])
        _name(
            connection,
            *place,
            row["evse_id"],
            roaming=row["roaming"],
            former_key=former[place],
        )
        connection.execute(
            "INSERT INTO evse_details (charging_point_id, evse_number, details) VALUES (%s, %s, %s)"
            " ON CONFLICT (charging_point_id, evse_number)"
            " DO UPDATE SET details = excluded.details, updated_at = now()",
            [*place, Jsonb(details(row))],
        )
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
    offered = sum(row["roaming"] for _, row in rows)
    if options.json:
        show_json({"imported": len(rows), "roaming": offered})
    else:
        print(f"{len(rows)} EVSEs imported, {offered} of them offered for roaming")


def _faults_of_place(connection: Connection, rows: list[tuple[int, Row]]) -> list[Fault]:
    """Return what the database has against rows that are right in themselves."""
    known = {row[0] for row in connection.execute("SELECT charging_point_id FROM charging_points")}
    products = {row[0] for row in connection.execute("SELECT product_id FROM price_products")}
    owners = {
        key: (name, number)
        for name, number, key in connection.execute(
            "SELECT charging_point_id, evse_number, evse_id_key FROM evses"
            " WHERE evse_id_key IS NOT NULL"
        )
    }
    here = {(row.get("charging_point"), row.get("evse_number")) for _, row in rows}
    faults = []
    for number, row in rows:
        name = row.get("charging_point")
        if isinstance(name, str) and name not in known:
            faults.append(Fault(number, "charging_point", f"{name!r} is not registered"))
        if isinstance(row.get("evse_id"), str):
            owner = owners.get(evse_id_key(row["evse_id"]))
            if owner is not None and owner not in here:
                faults.append(
                    Fault(number, "evse_id", f"is connector {owner[1]} of {owner[0]} already")
                )
        faults.extend(
            Fault(number, "prices", f"there is no price {product!r}; import prices first")
            for product in row.get("prices") or ()
            if product not in products
        )
    return faults


def set_roaming(connection: Connection, options: argparse.Namespace) -> None:
    """Offer EVSEs to the hub, or withdraw them."""
    keys = {evse_id_key(parse_evse_id(name)): name for name in options.evse_id}
    rows = connection.execute(
        "UPDATE evses SET roaming = %s WHERE evse_id_key = ANY(%s)"
        " RETURNING evse_id_key, charging_point_id, evse_number",
        [options.roaming, list(keys)],
    ).fetchall()
    unknown = [name for key, name in keys.items() if key not in {row[0] for row in rows}]
    if unknown:
        raise OperationError(f"no EVSE {', '.join(unknown)}; `evses list` shows those there are")
    for _, charging_point_id, number in rows:
        _tell(connection, charging_point_id, {"evse_number": number})
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
    word = "offered to the hub" if options.roaming else "withdrawn from the hub"
    if options.json:
        show_json({"evses": sorted(row[0] for row in rows), "roaming": options.roaming})
    else:
        print(f"{len(rows)} EVSEs {word}")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List EVSEs with their status."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT e.charging_point_id AS charging_point, e.evse_number AS evse, e.evse_id,
                   e.roaming, d.details IS NOT NULL AS master_data, e.status, e.error_code,
                   e.status_at, h.delivered ->> 'EvseStatus' AS at_the_hub
            FROM evses AS e
            LEFT JOIN evse_details AS d USING (charging_point_id, evse_number)
            LEFT JOIN deliveries AS h ON h.queue = 'evse-status' AND h.key = e.evse_id_key
            WHERE e.evse_number > 0 ORDER BY e.charging_point_id, e.evse_number
            """
        )
        .fetchall()
    )
    show(rows, as_json=options.json, title=f"{len(rows)} EVSEs", empty="no EVSEs yet")
