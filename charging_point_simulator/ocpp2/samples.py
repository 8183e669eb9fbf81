"""What a meter shows, as the sampled values of OCPP 2.x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charging_point_simulator.station.connector import Connector
from charging_point_simulator.station.meter import REGISTER, sample


def meter_value(
    connector: Connector, measurands: Sequence[str], context: str, most_w: float, timestamp: str
) -> dict[str, Any]:
    """Return one reading of the measurands asked for, of the register where none are."""
    values = []
    for each in sample(connector, measurands or (REGISTER,), most_w):
        value: dict[str, Any] = {
            "value": round(each.value, each.digits),
            "context": context,
            "measurand": each.measurand,
            "unitOfMeasure": {"unit": each.unit},
        }
        if each.phase:
            value["phase"] = each.phase
        if each.location:
            value["location"] = each.location
        values.append(value)
    return {"timestamp": timestamp, "sampledValue": values}
