"""The time zone of a place: by its name, by a fixed offset, or by its country."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

_OFFSET = re.compile(r"UTC([+-])([01][0-9]):([0-5][0-9])")

OF_COUNTRY = {
    "AUT": "Europe/Vienna",
    "BEL": "Europe/Brussels",
    "BGR": "Europe/Sofia",
    "CHE": "Europe/Zurich",
    "CZE": "Europe/Prague",
    "DEU": "Europe/Berlin",
    "DNK": "Europe/Copenhagen",
    "EST": "Europe/Tallinn",
    "FIN": "Europe/Helsinki",
    "FRA": "Europe/Paris",
    "GBR": "Europe/London",
    "GRC": "Europe/Athens",
    "HRV": "Europe/Zagreb",
    "HUN": "Europe/Budapest",
    "IRL": "Europe/Dublin",
    "ISL": "Atlantic/Reykjavik",
    "ITA": "Europe/Rome",
    "LIE": "Europe/Vaduz",
    "LTU": "Europe/Vilnius",
    "LUX": "Europe/Luxembourg",
    "LVA": "Europe/Riga",
    "NLD": "Europe/Amsterdam",
    "NOR": "Europe/Oslo",
    "POL": "Europe/Warsaw",
    "ROU": "Europe/Bucharest",
    "SVK": "Europe/Bratislava",
    "SVN": "Europe/Ljubljana",
    "SWE": "Europe/Stockholm",
}
"""Countries (ISO 3166-1 alpha-3) that have one time zone, or one where nearly all of it lies."""


@lru_cache(maxsize=256)
def zone_of(name: str) -> tzinfo:
    """Return a zone by its name in the IANA database, or like ``UTC+01:00``. Raises ValueError."""
    found = _OFFSET.fullmatch(name)
    if found is not None:
        offset = timedelta(hours=int(found[2]), minutes=int(found[3]))
        return timezone(-offset if found[1] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(
            f"{name[:60]!r} is no time zone: a name such as Europe/Berlin is expected"
        ) from None


def zone_of_place(name: str | None, country: str | None) -> tzinfo:
    """Return the zone of a place: its own, its country's, or UTC where neither says."""
    try:
        return zone_of(name or OF_COUNTRY.get(country or "", "UTC"))
    except ValueError:
        return UTC


def standard_offset(name: str) -> str:
    """Return a zone's offset outside summer time, like ``UTC+01:00``. Raises ValueError."""
    zone = zone_of(name)
    now = datetime.now(zone)
    offset = (zone.utcoffset(now) or timedelta()) - (zone.dst(now) or timedelta())
    minutes = round(offset.total_seconds() / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
