"""Prices that drivers of other providers are asked."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from charging.event import EVENTS_CHANNEL, EventKind
from charging.price import ALL_PROVIDERS, details, read_prices
from operations.output import OperationError, show, show_json
from operations.tables import read_file, refuse

Connection = psycopg.Connection[Any]


def add_arguments(parser: argparse.ArgumentParser, common: argparse.ArgumentParser) -> None:
    """Add this subject's actions."""
    actions = parser.add_subparsers(dest="action", required=True)
    import_parser = actions.add_parser(
        "import", parents=[common], help="add or change prices from a CSV or JSON file"
    )
    import_parser.add_argument("file", type=Path)
    import_parser.set_defaults(run=import_file)
    list_parser = actions.add_parser("list", parents=[common], help="list prices")
    list_parser.set_defaults(run=list_all)
    remove_parser = actions.add_parser("remove", parents=[common], help="take a price away")
    remove_parser.add_argument("product")
    remove_parser.add_argument("--provider", default=ALL_PROVIDERS, help="default: for all")
    remove_parser.set_defaults(run=remove)


def import_file(connection: Connection, options: argparse.Namespace) -> None:
    """Take a whole file of prices, or nothing of it."""
    rows, faults = read_file(options.file, read_prices)
    refuse(options.file, faults)
    for _, row in rows:
        connection.execute(
            "INSERT INTO price_products (provider_id, product_id, details) VALUES (%s, %s, %s)"
            " ON CONFLICT (provider_id, product_id)"
            " DO UPDATE SET details = excluded.details, updated_at = now()",
            [row["provider_id"], row["product_id"], Jsonb(details(row))],
        )
    _tell(connection)
    if options.json:
        show_json({"imported": len(rows)})
    else:
        print(f"{len(rows)} prices imported")


def list_all(connection: Connection, options: argparse.Namespace) -> None:
    """List prices with how many EVSEs have them."""
    rows = (
        connection.cursor(row_factory=dict_row)
        .execute(
            """
            SELECT p.product_id AS product, p.provider_id AS provider,
                   p.details ->> 'price' AS price, p.details ->> 'currency' AS currency,
                   p.details ->> 'unit' AS unit, p.details ->> 'max_power_kw' AS max_power_kw,
                   (SELECT count(*) FROM evse_details AS e
                    WHERE e.details -> 'prices' ? p.product_id) AS evses,
                   d.state AS hub, d.reason
            FROM price_products AS p
            LEFT JOIN deliveries AS d ON d.queue = 'pricing-products'
                AND d.key = p.provider_id || '/' || p.product_id
            ORDER BY 1, 2
            """
        )
        .fetchall()
    )
    show(rows, as_json=options.json, title=f"{len(rows)} prices", empty="no prices yet")


def remove(connection: Connection, options: argparse.Namespace) -> None:
    """Take a price away that no EVSE has."""
    used = connection.execute(
        "SELECT count(*) FROM evse_details WHERE details -> 'prices' ? %s"
        " AND NOT EXISTS (SELECT 1 FROM price_products WHERE product_id = %s"
        "                 AND provider_id <> %s)",
        [options.product, options.product, options.provider],
    ).fetchone()
    if used and used[0]:
        raise OperationError(f"{used[0]} EVSEs have {options.product}; `evses import` changes that")
    removed = connection.execute(
        "DELETE FROM price_products WHERE product_id = %s AND provider_id = %s",
        [options.product, options.provider],
    )
    if removed.rowcount == 0:
        raise OperationError(f"no price {options.product!r}; `prices list` shows those there are")
    _tell(connection)
    if options.json:
        show_json({"removed": options.product})
    else:
        print(f"{options.product} is gone")


def _tell(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO events (kind, charging_point_id, payload, occurred_at)"
        " VALUES (%s, '', '{}', now())",
        [EventKind.PRICES_CHANGED.value],
    )
    connection.execute("SELECT pg_notify(%s, '')", [EVENTS_CHANNEL])
