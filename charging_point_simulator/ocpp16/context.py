"""What a command of OCPP 1.6 works on, and how its values are read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from charging_point_simulator.ocpp16.configuration import Configuration
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.calls import CallError
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.firmware import Firmware
from charging_point_simulator.station.logs import Logs

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


def read_time(text: str) -> datetime:
    """Read a time; one without a zone is UTC. Raises CallError."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CallError("PropertyConstraintViolation", f"{text[:40]!r} is no time") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def read_optional_time(text: str | None) -> datetime | None:
    """Read a time that may be absent. Raises CallError."""
    return None if text is None else read_time(text)


def known_of(info: dict[str, Any]) -> Known:
    """Read an idTagInfo."""
    expiry = info.get("expiryDate")
    return Known(
        info.get("status", "Invalid"),
        info.get("parentIdTag"),
        read_optional_time(expiry),
    )
