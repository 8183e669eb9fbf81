"""The kinds of fields that OICP 2.3's messages are made of, as JSON Schema.

Where the standard's text and its OpenAPI contradict each other in a name or a shape, both are
taken; in a limit, the stricter counts. Source: OICP 2.3, CPO side, data types.
"""

from __future__ import annotations

from typing import Any

from third_party_hub_simulator.messages import Json


def members(required: Json, optional: Json | None = None, **more: Any) -> Json:
    """Return the schema of an object. Members that the standard does not know are let pass."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        **more,
    }


def exactly_one(**those: Json) -> Json:
    """Return the schema of an object with one of these members, and nothing else."""
    return members({}, those, minProperties=1, maxProperties=1, additionalProperties=False)


def each(of: Json, **more: Any) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": of, **more}


def some(of: Json) -> Json:
    """Return the schema of a list that is not empty."""
    return each(of, minItems=1)


def text(longest: int | None = None, shortest: int = 0, *, form: str | None = None) -> Json:
    """Return the schema of a text. form: a pattern that it has as a whole."""
    schema: Json = {"type": "string", "minLength": shortest}
    if longest is not None:
        schema["maxLength"] = longest
    if form is not None:
        schema["pattern"] = f"^({form})$"
    return schema


def one_of(*values: str) -> Json:
    """Return the schema of one of some words."""
    return {"enum": list(values)}


def whole(least: int, most: int | None = None) -> Json:
    """Return the schema of a whole number."""
    schema: Json = {"type": "integer", "minimum": least}
    return schema if most is None else {**schema, "maximum": most}


FLAG: Json = {"type": "boolean"}
TIME: Json = {"type": "string", "format": "date-time"}
AMOUNT: Json = {"type": "number", "minimum": 0}
ENERGY = AMOUNT

# An operator writes them in capitals.
EVSE_ID = text(
    form=r"[A-Z]{2}\*?[A-Z0-9]{3}\*?E[A-Z0-9*]{1,30}|\+?[0-9]{1,3}\*[0-9]{3}\*[0-9*]{1,32}"
)
OPERATOR_ID = text(form=r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}|\+?[0-9]{1,3}\*[0-9]{3}")
_PROVIDER = r"[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}"
PROVIDER_ID = text(form=_PROVIDER)
PROVIDER_ID_OR_ALL = text(form=rf"{_PROVIDER}|\*")
POOL_ID = text(form=r"[A-Za-z]{2}\*?[A-Za-z0-9]{3}\*?P[A-Za-z0-9*]{1,30}")
SESSION_ID = text(form="[A-Za-z0-9]{8}(-[A-Za-z0-9]{4}){3}-[A-Za-z0-9]{12}")
EVCO_ID = text(
    form="[A-Za-z]{2}-?[A-Za-z0-9]{3}-?C[A-Za-z0-9]{8}-?[0-9A-Za-z]"
    "|[A-Za-z]{2}[*-]?[A-Za-z0-9]{3}[*-]?[A-Za-z0-9]{6}[*-]?[0-9X]"
)
UID = text(form="[0-9A-F]{8}|[0-9A-F]{14}|[0-9A-F]{20}")
PHONE = text(form=r"\+[0-9]{5,15}")
COUNTRY = text(form="[A-Z]{3}")
TIME_ZONE = text(form="UTC[+-][0-9]{2}:[0-9]{2}")
LANGUAGE = text(form="[a-z]{2,3}(-[A-Z]{2,3}(-[a-zA-Z]{4})?)?(-x-[a-zA-Z0-9]{1,8})?")
PARTNER_SESSION = text(250)
PRODUCT_ID = text(50)
PARTNERS = {"CPOPartnerSessionID": PARTNER_SESSION, "EMPPartnerSessionID": PARTNER_SESSION}

ACTION = one_of("fullLoad", "update", "insert", "delete")
UNIT = one_of("HOUR", "KILOWATT_HOUR", "MINUTE")
DAYS = one_of(
    *("Everyday", "Workdays", "Weekend", "Monday", "Tuesday", "Wednesday", "Thursday"),
    *("Friday", "Saturday", "Sunday"),
)
CURRENCY = text(
    form="AED|AFN|ALL|AMD|ANG|AOA|ARS|AUD|AWG|AZN|BAM|BBD|BDT|BGN|BHD|BIF|BMD|BND|BOB|BRL|BSD|BTN"
    "|BWP|BYN|BZD|CAD|CDF|CHF|CLP|CNY|COP|CRC|CUP|CVE|CZK|DJF|DKK|DOP|DZD|EGP|ERN|ETB|EUR|FJD|FKP"
    "|GBP|GEL|GHS|GIP|GMD|GNF|GTQ|GYD|HKD|HNL|HTG|HUF|IDR|ILS|INR|IQD|IRR|ISK|JMD|JOD|JPY|KES|KGS"
    "|KHR|KMF|KPW|KRW|KWD|KYD|KZT|LAK|LBP|LKR|LRD|LSL|LYD|MAD|MDL|MGA|MKD|MMK|MNT|MOP|MUR|MVR|MWK"
    "|MXN|MYR|MZN|NAD|NGN|NIO|NOK|NPR|NZD|OMR|PAB|PEN|PGK|PHP|PKR|PLN|PYG|QAR|RON|RSD|RUB|RWF|SAR"
    "|SBD|SCR|SDG|SEK|SGD|SOS|SRD|SSP|SVC|SYP|SZL|THB|TJS|TMT|TND|TOP|TRY|TTD|TWD|TZS|UAH|UGX|USD"
    "|UYU|UZS|VND|VUV|WST|XAF|XCD|XOF|XPF|YER|ZAR|ZMW"
)
"""ISO 4217, so far as OICP lists it."""

_CLOCK = text(form="([01][0-9]|2[0-3]):[0-5][0-9]")
PERIODS = some(members({"begin": _CLOCK, "end": _CLOCK}))
LANGUAGE_TEXTS = each(members({"lang": LANGUAGE, "value": text(150)}))
_DEGREES = text(form=r"-?1?[0-9]{1,2}\.[0-9]{1,6}")
_DMS = text(form=r"-?1?[0-9]{1,2}° ?[0-9]{1,2}' ?[0-9]{1,2}\.[0-9]+''")
COORDINATES = exactly_one(
    Google=members(
        {"Coordinates": text(form=r"-?1?[0-9]{1,2}\.[0-9]{1,6}\s*,?\s*-?1?[0-9]{1,2}\.[0-9]{1,6}")}
    ),
    DecimalDegree=members({"Longitude": _DEGREES, "Latitude": _DEGREES}),
    DegreeMinuteSeconds=members({"Longitude": _DMS, "Latitude": _DMS}),
)

_CONTRACT = members({"EvcoID": EVCO_ID})
IDENTIFICATION = exactly_one(
    RFIDMifareFamilyIdentification=members({"UID": UID}),
    RFIDIdentification=members(
        {"UID": UID, "RFID": one_of("mifareCls", "mifareDes", "calypso", "nfc", "mifareFamily")},
        {"EvcoID": EVCO_ID, "PrintedNumber": text(150), "ExpiryDate": TIME},
    ),
    QRCodeIdentification=members({"EvcoID": EVCO_ID}, {"PIN": text(20)}),
    PlugAndChargeIdentification=_CONTRACT,
    RemoteIdentification=_CONTRACT,
)
"""Who charges, by exactly one member."""

READINGS = {"anyOf": [each(ENERGY), members({}, {"meterValues": each(ENERGY)})]}
