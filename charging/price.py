"""Prices that drivers of other providers are asked, without VAT."""

from __future__ import annotations

from decimal import Decimal

from charging.standard_codes import CURRENCIES, code_of
from charging.tables import Column, Fault, Row, decimal, one_of, read_table, text, yes_or_no

ALL_PROVIDERS = "*"

_price = decimal("0", "10000", 4)


def _currency(cell: object) -> str:
    return code_of(CURRENCIES, cell, "a currency in three capital letters such as EUR")


COLUMNS = [
    Column("product_id", text(50, r"[^/;|]+", "a name without / ; |")),
    Column(
        "provider_id",
        text(6, r"\*|[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}", "a provider such as DE-ABC, or *"),
        ALL_PROVIDERS,
    ),
    Column("currency", _currency),
    Column("unit", one_of("KILOWATT_HOUR", "HOUR", "MINUTE"), "KILOWATT_HOUR"),
    Column("price", _price),
    Column("max_power_kw", decimal("0.1", "999", 3)),
    Column("start_fee", _price, None),
    Column("fixed_fee", _price, None),
    Column("parking_fee_per_minute", _price, None),
    Column("minimum_fee", _price, None),
    Column("maximum_fee", _price, None),
    # What a provider assumes where an EVSE has no price.
    Column("is_default", yes_or_no, None),
]
"""The columns of a table of prices; docs/roaming.md says what each is."""


def read_prices(table: str) -> tuple[list[tuple[int, Row]], list[Fault]]:
    """Read a table of prices; return (row number, values) and what is wrong. Raises TableError."""
    rows, faults = read_table(table, COLUMNS)
    seen: set[tuple[str, str]] = set()
    defaults: set[str] = set()
    for number, row in rows:
        if "product_id" not in row or "provider_id" not in row:
            continue
        key = (row["provider_id"], row["product_id"])
        if key in seen:
            faults.append(Fault(number, "product_id", "stands in an earlier row already"))
        seen.add(key)
        if row.get("is_default"):
            if row["provider_id"] in defaults:
                faults.append(Fault(number, "is_default", "another row of the provider is it"))
            defaults.add(row["provider_id"])
    return rows, sorted(faults, key=lambda fault: fault.row)


def details(row: Row) -> Row:
    """Return a price as JSON values; money as text, so that no float comes near it."""
    return {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if name not in ("product_id", "provider_id") and value is not None
    }
