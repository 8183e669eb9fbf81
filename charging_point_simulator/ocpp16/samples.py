"""What a meter shows, as the sampled values of OCPP 1.6."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from charging_point_simulator.station.car import VOLTAGE_V, current_a
from charging_point_simulator.station.connector import Connector

Sample = dict[str, str]
_PHASES = ("L1", "L2", "L3")


def sampled_values(
    connector: Connector, measurands: Sequence[str], context: str, most_w: float
) -> list[Sample]:
    """Return the samples of the measurands asked for. most_w: what the connector is built for."""
    power = connector.power_w
    offered = min(most_w, connector.limit_w) if connector.session is not None else 0.0
    samples: list[Sample] = []

    def add(value: str, measurand: str, unit: str, **more: str) -> None:
        samples.append(
            {"value": value, "context": context, "measurand": measurand, "unit": unit, **more}
        )

    for measurand in measurands:
        match measurand:
            case "Energy.Active.Import.Register":
                add(str(int(connector.register_wh)), measurand, "Wh")
            case "Power.Active.Import":
                add(f"{power:.0f}", measurand, "W")
            case "Current.Import":
                for phase in _PHASES:
                    add(f"{current_a(power):.1f}", measurand, "A", phase=phase)
            case "Voltage":
                for phase in _PHASES:
                    add(f"{VOLTAGE_V:.1f}", measurand, "V", phase=f"{phase}-N")
            case "SoC" if connector.car is not None:
                soc = math.floor(connector.car.state_of_charge * 100)
                add(str(soc), measurand, "Percent", location="EV")
            case "Power.Offered":
                add(f"{offered:.0f}", measurand, "W")
            case "Current.Offered":
                add(f"{current_a(offered):.1f}", measurand, "A")
    return samples


def meter_value(timestamp: str, samples: list[Sample]) -> dict[str, Any]:
    """Return one reading."""
    return {"timestamp": timestamp, "sampledValue": samples}
