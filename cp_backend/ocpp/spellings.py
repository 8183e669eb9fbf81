"""How charging points spell names, words, truth values and numbers: tables and readers, no I/O."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

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
}

# Members that hold a token, in any version and spelling, as `letters` has them.
TOKEN_NAMES = frozenset(
    {
        *("idtag", "parentidtag", "tagid", "vendoridtag", "tag"),
        *("idtoken", "groupidtoken", "token"),
        *("rfid", "uid", "card", "cardid", "cardnumber"),
    }
)

# Members of an object that stands where a text belongs, in which the text is.
INNER_NAMES = ("idToken", "idTag", "value", "#text")

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
_WRITTEN_NUMBER = re.compile(r"([+-]?\d{1,30}(?:[.,]\d{0,20})?|[+-]?[.,]\d{1,20})\s*(k?wh)?", re.I)


def read_decimal(value: object, *, register: bool) -> Decimal | None:
    """Return a number however it is written; a register may have its unit behind it."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if not isinstance(value, str) or len(value) > 60:
        return None
    match = _WRITTEN_NUMBER.fullmatch(value.strip())
    if match is None or (match[2] and not register):
        return None
    try:
        number = Decimal(match[1].replace(",", "."))
    except InvalidOperation:
        return None
    return number * 1000 if match[2] and match[2].lower() == "kwh" else number


def letters(word: str) -> str:
    """Return what spellings of a word have in common."""
    return _BETWEEN.sub("", word[:MAX_KEPT_LENGTH].casefold())


_BETWEEN = re.compile(r"[^0-9a-z%°]")
