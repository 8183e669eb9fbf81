"""Tariffs as an operator fills them in: a table with a row for each period of a tariff."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from charging.standard_codes import CURRENCIES, code_of
from charging.tables import Column, Fault, Row, decimal, list_of, read_table, text, whole
from charging.tariff import DAY_MINUTES, DEFAULT, Period, Tariff

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOURS = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])-([01]?[0-9]|2[0-4]):([0-5][0-9])")
_price = decimal("0", "10000", 4)


def _days(cell: object) -> frozenset[int]:
    """Read days such as ``Mon-Fri``."""
    found: set[int] = set()
    for part in list_of(str)(cell):
        first, _, last = (word.strip().lower()[:3] for word in part.partition("-"))
        if first not in _DAYS or (last and last not in _DAYS):
            raise ValueError(f"{part!r} is neither a day nor days: Mon-Fri is expected, or Sat;Sun")
        begin, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {(begin + step) % 7 for step in range((end - begin) % 7 + 1)}
    return frozenset(found)


def _hours(cell: object) -> tuple[int, int]:
    """Read hours such as ``22:00-06:00``, as minutes of the day."""
    match = _HOURS.fullmatch(str(cell).replace(" ", ""))
    if match is None:
        raise ValueError(f"{cell!r} are no hours: 22:00-06:00 is expected")
    hours = [int(part) for part in match.groups()]
    begin, end = hours[0] * 60 + hours[1], hours[2] * 60 + hours[3]
    if end > DAY_MINUTES or begin == end:
        raise ValueError(f"{cell!r} are no hours of a day")
    return begin, end


def _time(cell: object) -> datetime:
    try:
        at = datetime.fromisoformat(str(cell))
    except ValueError:
        raise ValueError(f"{cell!r} is no time: 2026-01-01 is expected") from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)


_OF_TARIFF = {
    "currency": None,
    "tax_percent": None,
    "session_fee": Decimal(0),
    "idle_free_minutes": 0,
}
"""What a tariff has once, and what it is where no row of it says."""

COLUMNS = [
    Column("tariff", text(50, r"[^/;|]+", "a name without / ; |"), DEFAULT),
    Column("valid_from", _time),
    Column("currency", lambda cell: code_of(CURRENCIES, cell, "a currency such as EUR"), None),
    Column("tax_percent", decimal("0", "100", 2), None),
    Column("session_fee", _price, None),
    Column("idle_free_minutes", whole(0, 10_000), None),
    Column("days", _days, None),
    Column("hours", _hours, None),
    Column("price_per_kwh", _price),
    Column("price_per_minute", _price, Decimal(0)),
    Column("idle_per_minute", _price, Decimal(0)),
]
"""The columns of a table of tariffs; docs/bills.md says what each is."""


def read_tariffs(table: str) -> tuple[list[tuple[int, Tariff]], list[Fault]]:
    """Read a table of tariffs; return (row number, tariff), faults. Raises TableError.

    The rows of a tariff, by its name and its time, are its periods; one without days and hours
    holds at all other times.
    """
    rows, faults = read_table(table, COLUMNS)
    if faults:
        return [], faults
    tariffs = []
    ordered = sorted(rows, key=lambda row: (row[1]["tariff"], row[1]["valid_from"]))
    for _, group in groupby(ordered, key=lambda row: (row[1]["tariff"], row[1]["valid_from"])):
        of_one = list(group)
        wrong = _faults(of_one)
        faults += wrong
        if not wrong:
            tariffs.append((of_one[0][0], _tariff([row for _, row in of_one])))
    return tariffs, sorted(faults, key=lambda fault: fault.row)


def details(tariff: Tariff) -> dict[str, Any]:
    """Return a tariff as JSON, but for its name and its time; money as text."""
    return {
        "currency": tariff.currency,
        "tax_percent": str(tariff.tax_percent),
        "session_fee": str(tariff.session_fee),
        "idle_free_minutes": tariff.idle_free_minutes,
        "periods": [
            {
                "name": period.name,
                "days": sorted(period.days),
                "begin": period.begin,
                "end": period.end,
                "per_kwh": str(period.per_kwh),
                "per_minute": str(period.per_minute),
                "idle_per_minute": str(period.idle_per_minute),
            }
            for period in tariff.periods
        ],
    }


def tariff_of(name: str, valid_from: datetime, details: Mapping[str, Any]) -> Tariff:
    """Return the tariff that `details` made JSON of."""
    return Tariff(
        name,
        valid_from,
        details["currency"],
        Decimal(details["tax_percent"]),
        Decimal(details["session_fee"]),
        details["idle_free_minutes"],
        tuple(
            Period(
                each["name"],
                frozenset(each["days"]),
                each["begin"],
                each["end"],
                Decimal(each["per_kwh"]),
                Decimal(each["per_minute"]),
                Decimal(each["idle_per_minute"]),
            )
            for each in details["periods"]
        ),
    )


def _faults(rows: list[tuple[int, Row]]) -> list[Fault]:
    """Return what is wrong with the rows of one tariff."""
    first, faults = rows[0][0], []
    for name, default in _OF_TARIFF.items():
        said = {row[name] for _, row in rows if row[name] is not None}
        if len(said) > 1:
            faults.append(Fault(first, name, "the rows of a tariff have different ones"))
        if not said and default is None:
            faults.append(Fault(first, name, "must be filled in, in one row of the tariff"))
    always = [number for number, row in rows if _is_always(row)]
    if not always:
        faults.append(Fault(first, "hours", "one row without days and hours must hold otherwise"))
    faults += [
        Fault(number, "hours", "another row of the tariff holds otherwise") for number in always[1:]
    ]
    return faults


def _tariff(rows: list[Row]) -> Tariff:
    once: dict[str, Any] = {
        name: next((row[name] for row in rows if row[name] is not None), default)
        for name, default in _OF_TARIFF.items()
    }
    periods = tuple(_period(row, alone=len(rows) == 1) for row in sorted(rows, key=_is_always))
    return Tariff(rows[0]["tariff"], rows[0]["valid_from"], periods=periods, **once)


def _is_always(row: Row) -> bool:
    return row["days"] is None and row["hours"] is None


def _period(row: Row, *, alone: bool) -> Period:
    days = row["days"] or frozenset(range(7))
    begin, end = row["hours"] or (0, DAY_MINUTES)
    if _is_always(row):
        name = "" if alone else "otherwise"
    else:
        hours = f"{begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
        shown = "" if row["days"] is None else "+".join(_DAYS[day].title() for day in sorted(days))
        name = f"{shown} {hours if row['hours'] else ''}".strip()
    prices = (row["price_per_kwh"], row["price_per_minute"], row["idle_per_minute"])
    return Period(name, days, begin, end, *prices)
