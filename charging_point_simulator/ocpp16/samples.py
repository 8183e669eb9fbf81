"""What a meter shows, as the sampled values of OCPP 1.6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from charging_point_simulator.station.connector import Connector
from charging_point_simulator.station.meter import sample


def sampled_values(
    connector: Connector, measurands: Sequence[str], context: str, most_w: float
) -> list[dict[str, str]]:
    """Return the samples of the measurands asked for. most_w: what the connector is built for."""
    written = []
    for each in sample(connector, measurands, most_w):
        value = {"value": each.text, "context": context, "measurand": each.measurand}
        value["unit"] = each.unit
        if each.phase:
            value["phase"] = each.phase
        if each.location:
            value["location"] = each.location
        written.append(value)
    return written


def meter_value(timestamp: str, samples: list[dict[str, str]]) -> dict[str, Any]:
    """Return one reading."""
    return {"timestamp": timestamp, "sampledValue": samples}
