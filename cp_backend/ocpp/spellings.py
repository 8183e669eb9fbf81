"""How charging points spell names, words, truth values and numbers: tables and readers, no I/O."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

MAX_KEPT_LENGTH = 255
"""Characters of a text that are kept where the standard allows fewer."""

# Names of other versions and generations, in small letters, where the right one is absent.
NAMES = {
    "values": "meterValue",
    "metervalues": "meterValue",
    "sampledvalues": "sampledValue",
    "idtoken": "idTag",
    "tagid": "idTag",
    "connector": "connectorId",
    "evseid": "connectorId",
    "transaction": "transactionId",
    "vendor": "chargePointVendor",
    "vendorname": "chargePointVendor",
    "model": "chargePointModel",
    "serialnumber": "chargePointSerialNumber",
    "connectorstatus": "status",
    "unit": "unitOfMeasure",
    "unitofmeasure": "unit",
}

# Members that hold a token, in any version and spelling, as `letters` has them.
TOKEN_NAMES = frozenset(
    {
        *("idtag", "parentidtag", "tagid", "vendoridtag", "tag"),
        *("idtoken", "groupidtoken", "token", "additionalidtoken"),
        *("rfid", "uid", "card", "cardid", "cardnumber"),
    }
)

# Members of an object that stands where a text or a number belongs, in which it is.
INNER_NAMES = ("idToken", "idTag", "value", "unit", "id", "#text", "$date")

# Objects of 2.x that stand as what 1.6 has in their place: its one member that matters.
AS_OBJECTS = {"unitOfMeasure": "unit", "idToken": "idToken", "evse": "id"}

# Spellings of the standard's words that more than letters tell from them, as `letters` has them.
SPELLINGS = {
    "%": "Percent",
    "percentage": "Percent",
    "c": "Celsius",
    "°c": "Celsius",
    "degc": "Celsius",
    "f": "Fahrenheit",
    "°f": "Fahrenheit",
    "volt": "V",
    "volts": "V",
    "amp": "A",
    "amps": "A",
    "ampere": "A",
    "watt": "W",
    "watts": "W",
    "watthour": "Wh",
    "watthours": "Wh",
    "kilowatthour": "kWh",
    "kilowatthours": "kWh",
    "sample": "Sample.Periodic",
    "periodic": "Sample.Periodic",
    "begin": "Transaction.Begin",
    "end": "Transaction.End",
    "energy": "Energy.Active.Import.Register",
    "stateofcharge": "SoC",
    "evdisconnect": "EVDisconnected",
    "deauthorised": "DeAuthorized",
    "noerrors": "NoError",
}

TRUTH = {
    **dict.fromkeys(("true", "1", "1.0", "yes", "on", "y", "t", "enabled"), True),
    **dict.fromkeys(("false", "0", "0.0", "no", "off", "n", "f", "disabled"), False),
}
UNITS_OF_ENERGY = {"wh": 1, "kwh": 1000, "mwh": 1_000_000}
"""In Wh, by their letters."""

_WRITTEN_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<digits>[\d.,'’_\s]{1,40}?)(?:e(?P<exponent>[+-]?\d{1,2}))?"
    r"\s*\(?\s*(?P<unit>[km]?w[.·⋅\s-]?h)?\s*\)?\s*;?",
    re.IGNORECASE,
)
_DECIMAL = re.compile(r"(\d+)(?:([.,])(\d*))?|([.,])(\d+)")
# Thousands: two groups or a fraction tell that dots or commas are no decimal ones.
_GROUPED = re.compile(
    r"(?P<whole>\d{1,3}(?:(?P<between>['’_\s])\d{3})+)(?:[.,](?P<fraction>\d*))?"
    r"|(?P<dotted>\d{1,3}(?:(?P<dot>[.,])\d{3})(?:(?P=dot)\d{3})*)(?:(?!(?P=dot))[.,](?P<rest>\d*))?"
)


class Written(NamedTuple):
    """A number that was read. unit: of energy, as UNITS_OF_ENERGY has it; empty without one."""

    number: Decimal
    unit: str


def read_written(text: str, *, whole: bool) -> Written | None:
    """Read a number as people write it: with thousands, a comma, an exponent, a unit of energy.

    whole: one of which thousands are likelier than thousandths: then 1,200 has no certain reading.
    None for what is none.
    """
    match = _WRITTEN_NUMBER.fullmatch(text.strip()) if len(text) <= 60 else None
    if match is None:
        return None
    unit = "".join(filter(str.isalpha, match["unit"] or "")).lower()
    digits = _digits(match["digits"].strip(), whole=whole and unit in ("", "wh"))
    if digits is None:
        return None
    try:
        number = Decimal(f"{match['sign']}{digits}e{match['exponent'] or 0}")
    except InvalidOperation:
        return None
    return Written(number, unit)


def _digits(text: str, *, whole: bool) -> str | None:
    """Return a number's digits with at most one decimal point."""
    if (plain := _DECIMAL.fullmatch(text)) is not None:
        before, mark, after = plain[1] or "0", plain[2], plain[3] or plain[5] or ""
        uncertain = mark == "," and len(after) == 3 and len(before) <= 3 and before[0] != "0"
        return None if whole and uncertain else f"{before}.{after or 0}"
    grouped = _GROUPED.fullmatch(text)
    if grouped is None:
        return None
    before = "".join(filter(str.isdigit, grouped["whole"] or grouped["dotted"]))
    return f"{before}.{grouped['fraction'] or grouped['rest'] or 0}"


def single(value: object) -> object:
    """Return what stands alone in a list or in an object of a known member; else the value."""
    if isinstance(value, list) and len(value) == 1:
        return value[0]
    if isinstance(value, dict):
        return next((value[name] for name in INNER_NAMES if name in value), value)
    return value


def read_decimal(value: object, *, register: bool) -> Decimal | None:
    """Return a number however it is written; a register, in Wh, may have its unit with it."""
    unit = str(value.get("unit") or "") if isinstance(value, dict) and register else ""
    value = single(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        written = Written(Decimal(value), "")
    elif isinstance(value, float):
        written = Written(Decimal(repr(value)), "")
    else:
        found = read_written(value, whole=True) if isinstance(value, str) else None
        if found is None or (found.unit and not register):
            return None
        written = found
    factor = UNITS_OF_ENERGY.get(written.unit or letters(unit) or "wh")
    return None if factor is None else written.number * factor


def letters(word: str) -> str:
    """Return what spellings of a word have in common."""
    return _BETWEEN.sub("", word[:MAX_KEPT_LENGTH].casefold())


_BETWEEN = re.compile(r"[^0-9a-z%°]")
