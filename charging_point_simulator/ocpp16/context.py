"""What a command of OCPP 1.6 works on, and how its values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from charging_point_simulator.ocpp16.configuration import Configuration
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.firmware import Firmware
from charging_point_simulator.station.logs import Logs
from charging_point_simulator.unversioned import read_optional_time

Payload = dict[str, Any]


@dataclass(frozen=True)
class Context:
    """A charging point and what belongs to its dialect."""

    point: ChargingPoint
    configuration: Configuration
    firmware: Firmware
    logs: Logs

    @property
    def now(self) -> datetime:
        """The time."""
        return self.point.timers.clock.utc()


Command = Callable[[Context, Payload], Payload]
"""Carries out a command and returns its answer; raises CallError."""


def known_of(info: dict[str, Any]) -> Known:
    """Read an idTagInfo."""
    expiry = info.get("expiryDate")
    return Known(
        info.get("status", "Invalid"),
        info.get("parentIdTag"),
        read_optional_time(expiry),
    )
