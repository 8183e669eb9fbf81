"""OCPP 2.x: meter values, in the shape in which readings are kept, which is that of OCPP 1.6.

Readings of all versions are stored, exported and looked at alike: a value is a text in a plain
unit, a signed value a sample of its own whose text is kept to the last character. Source: OCPP
2.0.1 part 2, MeterValueType, SampledValueType, SignedMeterValueType.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from cp_backend.ocpp.meter import read_register_wh
from cp_backend.ocpp.times import read_payload_time
from cp_backend.vocabulary import JsonObject, Reading

_PLACES = ("context", "location", "measurand", "phase")
# A factor beyond these is noise, and its zeros would fill the database.
_MAX_MULTIPLIER = 12


def read_readings(meter_values: list[JsonObject]) -> list[Reading]:
    """Read a list of MeterValueType, each the values of one moment."""
    return [_read_reading(each) for each in meter_values]


def _read_reading(meter_value: JsonObject) -> Reading:
    samples: list[JsonObject] = []
    for sampled in meter_value["sampledValue"]:
        sample = {name: sampled[name] for name in _PLACES if name in sampled}
        unit = sampled.get("unitOfMeasure")
        sample["value"] = _text(sampled["value"])
        if unit is not None:
            if unit.get("multiplier"):
                sample["value"] = _multiplied(sampled["value"], unit["multiplier"])
            if "unit" in unit:
                sample["unit"] = unit["unit"]
        signed = sampled.get("signedMeterValue")
        if signed is not None:
            samples.append(_signed(sample, signed))
        samples.append(sample)
    return Reading(read_payload_time(meter_value["timestamp"]), read_register_wh(samples), samples)


def _text(value: float) -> str:
    """Write a number as 1.6's charging points do: no exponent, no `.0`."""
    if isinstance(value, int):
        return str(value)
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2]
    return format(Decimal(text), "f") if "e" in text else text


def _multiplied(value: float, multiplier: int) -> str:
    """Write a value that counts in powers of ten of its unit, in the unit itself."""
    if not -_MAX_MULTIPLIER <= multiplier <= _MAX_MULTIPLIER:
        return "NaN"  # no reading is certain
    text = format(Decimal(repr(value)).scaleb(multiplier), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(sample: JsonObject, signed: JsonObject) -> JsonObject:
    """Return a signed value, which stands beside the plain one and is never read as a number."""
    kept: dict[str, Any] = {name: sample[name] for name in _PLACES if name in sample}
    return kept | {
        "format": "SignedData",
        "value": signed["signedMeterData"],
        **{name: signed[name] for name in signed if name not in ("signedMeterData", "customData")},
    }
