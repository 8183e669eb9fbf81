"""Prices that drivers of other providers are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from charging.database import audit, events
from charging.database.audit import Asker
from charging.database.connection import Connection
from charging.database.events import Event
from charging.event import EventKind
from charging.price import ALL_PROVIDERS, details, read_prices
from charging.tables import Row
from operations import imports
from operations.errors import ConflictError, NotFoundError, TableFaultsError


@dataclass(frozen=True, slots=True)
class Price:
    """A product and what it costs. provider: who it is for, ``*`` for all.

    evses: how many have it. hub, reason: whether the hub knows it, and why not.
    """

    product: str
    provider: str
    price: str
    currency: str
    unit: str
    max_power_kw: str
    evses: int
    hub: str | None
    reason: str | None


def import_table(connection: Connection, text: str, *, by: Asker) -> int:
    """Add or change prices by a table in CSV or JSON; return how many rows it has.

    An interrupted one: see operations.imports. Raises InvalidError, ConflictError,
    TableFaultsError; then nothing was written.
    """
    rows, faults = imports.read(text, read_prices)
    if faults:
        raise TableFaultsError(faults)
    ordered = sorted(
        (row for _, row in rows), key=lambda row: (row["provider_id"], row["product_id"])
    )
    with imports.exclusively(connection):
        audit.write(connection, by, "import_prices", "", {"rows": len(rows)})
        imports.in_parts(connection, ordered, lambda part: _write(connection, part))
    return len(rows)


def _write(connection: Connection, part: Sequence[Row]) -> None:
    connection.execute(
        """
        INSERT INTO price_products (provider_id, product_id, details)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::jsonb[])
        ON CONFLICT (provider_id, product_id)
        DO UPDATE SET details = excluded.details, updated_at = now()
        WHERE price_products.details IS DISTINCT FROM excluded.details
        """,
        [
            [row["provider_id"] for row in part],
            [row["product_id"] for row in part],
            [Jsonb(details(row)) for row in part],
        ],
    )
    events.write(connection, [Event(EventKind.PRICES_CHANGED)])


def list_all(connection: Connection) -> list[Price]:
    """Return all prices with how many EVSEs have them."""
    with connection.cursor(row_factory=class_row(Price)) as cursor:
        return cursor.execute(
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
        ).fetchall()


def remove(
    connection: Connection, product: str, *, by: Asker, provider: str = ALL_PROVIDERS
) -> None:
    """Take a price away that no EVSE has. Raises ConflictError, NotFoundError."""
    with connection.transaction():
        used = connection.execute(
            "SELECT count(*) FROM evse_details WHERE details -> 'prices' ? %s"
            " AND NOT EXISTS (SELECT 1 FROM price_products WHERE product_id = %s"
            "                 AND provider_id <> %s)",
            [product, product, provider],
        ).fetchone()
        if used and used[0]:
            raise ConflictError(f"{used[0]} EVSEs have {product}; `evses import` changes that")
        removed = connection.execute(
            "DELETE FROM price_products WHERE product_id = %s AND provider_id = %s",
            [product, provider],
        )
        if removed.rowcount == 0:
            raise NotFoundError(f"no price {product!r}; `prices list` shows those there are")
        audit.write(connection, by, "remove_price", product, {"provider": provider})
        events.write(connection, [Event(EventKind.PRICES_CHANGED)])
