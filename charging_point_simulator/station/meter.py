"""What a connector's meter shows, in no version's shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from charging_point_simulator.station.car import VOLTAGE_V, current_a
from charging_point_simulator.station.connector import Connector

REGISTER = "Energy.Active.Import.Register"
MEASURANDS = (
    REGISTER,
    "Power.Active.Import",
    "Current.Import",
    "Voltage",
    "SoC",
    "Power.Offered",
    "Current.Offered",
)
_PHASES = ("L1", "L2", "L3")


@dataclass(frozen=True)
class Sample:
    """A sampled value. digits: behind the point, of its text."""

    value: float
    digits: int
    measurand: str
    unit: str
    phase: str = ""
    location: str = ""

    @property
    def text(self) -> str:
        """The value as text."""
        return f"{self.value:.{self.digits}f}"


def sample(connector: Connector, measurands: Sequence[str], most_w: float) -> list[Sample]:
    """Return the samples of the measurands asked for. most_w: what the connector is built for."""
    power = connector.power_w
    offered = min(most_w, connector.limit_w) if connector.session is not None else 0.0
    samples: list[Sample] = []
    for name in measurands:
        match name:
            case "Energy.Active.Import.Register":
                samples.append(Sample(int(connector.register_wh), 0, name, "Wh"))
            case "Power.Active.Import":
                samples.append(Sample(power, 0, name, "W"))
            case "Current.Import":
                samples += [Sample(current_a(power), 1, name, "A", phase) for phase in _PHASES]
            case "Voltage":
                samples += [Sample(VOLTAGE_V, 1, name, "V", f"{phase}-N") for phase in _PHASES]
            case "SoC" if connector.car is not None:
                percent = math.floor(connector.car.state_of_charge * 100)
                samples.append(Sample(percent, 0, name, "Percent", location="EV"))
            case "Power.Offered":
                samples.append(Sample(offered, 0, name, "W"))
            case "Current.Offered":
                samples.append(Sample(current_a(offered), 1, name, "A"))
    return samples
