"""Prices: the products that the hub shall know, and the EVSEs that have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from charging.database.connection import Connection
from charging.delivery import Queue
from charging.price import ALL_PROVIDERS
from third_party_backend.oicp import catalogue
from third_party_backend.relay import planned
from third_party_backend.relay.database import Json
from third_party_backend.relay.planning.catalogue import plan_evses
from third_party_backend.relay.planning.context import BATCH, Context, Event


def changed(context: Context, events: Sequence[Event]) -> None:
    """Plan all prices anew: an event of prices names none of them."""
    del events
    plan_prices(context.connection)


def plan_prices(connection: Connection) -> None:
    """Plan which prices the hub shall know, and which EVSEs have them."""
    rows = connection.execute(
        "SELECT provider_id, product_id, details FROM price_products ORDER BY product_id"
    ).fetchall()
    defaults = default_prices(rows)
    products = {
        f"{provider_id}/{product_id}": {
            "provider": provider_id,
            "default": catalogue.default_price(defaults[provider_id]),
            "record": catalogue.product_record(product_id, details),
        }
        for provider_id, product_id, details in rows
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


def default_prices(rows: Iterable[tuple[str, str, Json]]) -> dict[str, Json]:
    """Return the details of each provider's default price, the same whatever has changed.

    rows: (provider, product, details). It is the provider's product that the operator marked, else
    the one that he marked for all providers, else the provider's first by name.
    """
    first: dict[str, Json] = {}
    marked: dict[str, Json] = {}
    for provider_id, _, details in sorted(rows, key=lambda row: row[1]):
        first.setdefault(provider_id, details)
        if details.get("is_default"):
            marked.setdefault(provider_id, details)
    for_all = marked.get(ALL_PROVIDERS)
    return {provider: marked.get(provider) or for_all or first[provider] for provider in first}
