"""Master data of EVSEs, filled in by the operator: place, plugs, power, how drivers pay.

Plugs, payments and the like are in the roaming hub's words (OICP 2.3), since an operator must
choose among them and nothing else reads them (decision 26).
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from typing import Any

from charging.identity import InvalidIdentityError, evse_id_key, parse_charging_point_id
from charging.identity import parse_evse_id as parse_evse_id_or_raise
from charging.standard_codes import COUNTRIES, code_of
from charging.tables import (
    Column,
    Fault,
    Row,
    decimal,
    list_of,
    one_of,
    read_table,
    text,
    whole,
    yes_or_no,
)
from charging.time_zone import zone_of

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_SPANS = ("Everyday", "Workdays", "Weekend", *DAYS)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_OPENING = re.compile(rf"(\w+) +({_CLOCK}) *[-–] *({_CLOCK}|24:00)")
ALWAYS_OPEN = "24/7"
RESERVATION_SERVICE = "Reservation"
"""The value-added service that says that an EVSE takes reservations."""


def _identity(parse: Any) -> Any:
    def read(cell: Any) -> str:
        try:
            parsed: str = parse(str(cell).strip())
        except InvalidIdentityError as error:
            raise ValueError(str(error)) from None
        return parsed

    return read


def _opening(cell: Any) -> str:
    """Read one span of opening: ``24/7`` or ``Workdays 08:00-18:00``."""
    word = str(cell).strip()
    if word == ALWAYS_OPEN:
        return word
    found = _OPENING.fullmatch(word)
    span = next((s for s in _SPANS if found and s.lower() == found[1].lower()), None)
    if found is None or span is None:
        raise ValueError(
            f"{word!r} is neither {ALWAYS_OPEN} nor like 'Workdays 08:00-18:00'; days are "
            f"{', '.join(_SPANS)}"
        )
    # OICP's clock knows no 24:00.
    return f"{span} {found[2]}-{'23:59' if found[3] == '24:00' else found[3]}"


def _country(cell: Any) -> str:
    return code_of(COUNTRIES, cell, "a country in three capital letters such as DEU")


def _time_zone(cell: Any) -> str:
    word = str(cell).strip()
    zone_of(word)
    return word


def _degrees(most: str) -> Any:
    """Coordinates keep their six decimals: OICP wants them as text, with a point."""
    read = decimal(f"-{most}", most, 6)
    return lambda cell: f"{read(cell):.6f}"


COLUMNS = [
    Column("charging_point", _identity(parse_charging_point_id)),
    Column("evse_number", whole(1, 999)),
    Column("evse_id", _identity(parse_evse_id_or_raise)),
    Column("roaming", yes_or_no, True),
    Column("station_id", text(50), None),
    Column("name", text(150)),
    Column(
        "language",
        text(11, r"[a-z]{2,3}(-[A-Z]{2,3}(-[a-zA-Z]{4})?)?", "a language such as en or en-GB"),
        "en",
    ),
    Column("country", _country),
    Column("city", text(50)),
    Column("street", text(100, ".{2,}", "a street of two letters or more")),
    Column("house_number", text(10)),
    Column("postal_code", text(10)),
    Column("time_zone", _time_zone, None),
    Column("latitude", _degrees("90")),
    Column("longitude", _degrees("180")),
    Column(
        "plugs",
        list_of(
            one_of(
                *("Small Paddle Inductive", "Large Paddle Inductive", "AVCON Connector"),
                *("Tesla Connector", "NEMA 5-20", "Type E French Standard", "Type F Schuko"),
                *("Type G British Standard", "Type J Swiss Standard"),
                *("Type 1 Connector (Cable Attached)", "Type 2 Outlet"),
                *("Type 2 Connector (Cable Attached)", "Type 3 Outlet"),
                *("IEC 60309 Single Phase", "IEC 60309 Three Phase"),
                *("CCS Combo 2 Plug (Cable Attached)", "CCS Combo 1 Plug (Cable Attached)"),
                "CHAdeMO",
            )
        ),
    ),
    Column("power_type", one_of("AC_1_PHASE", "AC_3_PHASE", "DC")),
    Column("power_kw", decimal("0.1", "999", 3)),
    Column("voltage_v", whole(1, 999), None),
    # OICP has no more than 99 A: more is kept and not sent.
    Column("current_a", whole(1, 2000), None),
    Column("renewable_energy", yes_or_no, False),
    Column("calibration_law", one_of("Local", "External", "Not Available"), "Not Available"),
    Column(
        "authentication_modes",
        list_of(
            one_of(
                *("NFC RFID Classic", "NFC RFID DESFire", "PnC", "REMOTE", "Direct Payment"),
                "No Authentication Required",
            )
        ),
        ["NFC RFID Classic", "REMOTE"],
    ),
    Column("payment_options", list_of(one_of("No Payment", "Direct", "Contract")), ["Contract"]),
    Column(
        "value_added_services",
        list_of(
            one_of(
                *(RESERVATION_SERVICE, "DynamicPricing", "ParkingSensors", "MaximumPowerCharging"),
                *("PredictiveChargePointUsage", "ChargingPlans", "RoofProvided", "None"),
            )
        ),
        ["None"],
    ),
    Column(
        "accessibility",
        one_of(
            *("Free publicly accessible", "Restricted access", "Paying publicly accessible"),
            "Test Station",
        ),
        "Free publicly accessible",
    ),
    Column("hotline", text(16, r"\+[0-9]{5,15}", "a number such as +4930123456")),
    Column("opening", list_of(_opening), [ALWAYS_OPEN]),
    # The charging point starts only with a vehicle connected; a remote start says so at once.
    Column("vehicle_first", yes_or_no, False),
    Column("prices", list_of(text(50)), []),
    # By what signed values are verified; they go with the records that have some.
    Column("calibration_certificate", text(100), None),
    Column("signature_public_key", text(1000), None),
    Column("signature_url", text(100), None),
    Column("signature_format", text(50), None),
    Column("signature_instruction", text(400), None),
]
"""The columns of an EVSE table; docs/roaming.md says what each is."""

_KEYS = ("charging_point", "evse_number", "evse_id", "roaming")


def read_evses(table: str) -> tuple[list[tuple[int, Row]], list[Fault]]:
    """Read a table of EVSEs; return (row number, values) and what is wrong. Raises TableError.

    Beyond each cell: an EVSE id or a connector stands in it once, always open goes with no other
    hours, no payment with no other option.
    """
    rows, faults = read_table(table, COLUMNS)
    for column, key in (
        ("evse_id", lambda row: evse_id_key(row["evse_id"])),
        ("evse_number", lambda row: (row["charging_point"], row["evse_number"])),
    ):
        keys: Counter[Any] = Counter()
        for number, row in rows:
            if not isinstance(row.get("evse_id"), str) or "evse_number" not in row:
                continue
            found = key(row) if "charging_point" in row else None
            if found is not None and keys[found]:
                faults.append(Fault(number, column, "stands in an earlier row already"))
            keys[found] += 1
    for number, row in rows:
        for column, alone in (
            ("opening", ALWAYS_OPEN),
            ("payment_options", "No Payment"),
            ("value_added_services", "None"),
        ):
            values = row.get(column) or []
            if alone in values and len(values) > 1:
                faults.append(Fault(number, column, f"{alone!r} goes with nothing else"))
    return rows, sorted(faults, key=lambda fault: fault.row)


def details(row: Row) -> Row:
    """Return what a row says beside the EVSE's name, as JSON values."""
    return {
        name: str(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if name not in _KEYS and value is not None
    }
