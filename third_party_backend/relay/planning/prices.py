"""Prices: the products that the hub shall know, and the EVSEs that have them."""

from __future__ import annotations

from collections.abc import Sequence

from charging.database.connection import Connection
from charging.delivery import Queue
from third_party_backend.oicp import catalogue
from third_party_backend.relay import planned
from third_party_backend.relay.planning.catalogue import plan_evses
from third_party_backend.relay.planning.context import BATCH, Context, Event


def changed(context: Context, events: Sequence[Event]) -> None:
    """Plan all prices anew: an event of prices names none of them."""
    del events
    plan_prices(context.connection)


def plan_prices(connection: Connection) -> None:
    """Plan which prices the hub shall know, and which EVSEs have them."""
    products = {
        f"{provider_id}/{product_id}": {
            "provider": provider_id,
            "record": catalogue.product_record(product_id, details),
        }
        for provider_id, product_id, details in connection.execute(
            "SELECT provider_id, product_id, details FROM price_products"
        )
    }
    planned.state(connection, Queue.PRICING_PRODUCTS, products)
    gone = connection.execute(
        "SELECT key FROM deliveries WHERE queue = 'pricing-products' AND payload IS NOT NULL"
        " AND NOT key = ANY(%s)",
        [list(products)],
    ).fetchall()
    planned.removal(connection, Queue.PRICING_PRODUCTS, [row[0] for row in gone])
    priced = connection.execute(
        "SELECT DISTINCT charging_point_id FROM evse_details"
        " WHERE jsonb_array_length(coalesce(details -> 'prices', '[]')) > 0 ORDER BY 1"
    ).fetchall()
    for start in range(0, len(priced), BATCH):
        plan_evses(connection, [row[0] for row in priced[start : start + BATCH]])
