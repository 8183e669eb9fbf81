"""What a command of OCPP 2.x works on, and how its values are read."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from charging_point_simulator.ocpp2.monitors import Monitors
from charging_point_simulator.ocpp2.variables import Variables
from charging_point_simulator.station.authorization import Known
from charging_point_simulator.station.calls import Call
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.connector import Connector
from charging_point_simulator.station.firmware import Firmware
from charging_point_simulator.station.logs import Logs
from charging_point_simulator.station.timers import write_time
from charging_point_simulator.unversioned import read_optional_time

Payload = dict[str, Any]
PART = 20
"""Members of a report in one message."""


@dataclass
class Context:
    """A charging point and what belongs to its dialect.

    profiles: as they were set, by id, with their EVSE. messages: on the display, by id. published:
    files, by checksum. tariffs: 2.1's, by EVSE. costs: of transactions, as we were told.
    """

    point: ChargingPoint
    version: str
    variables: Variables
    monitors: Monitors
    firmware: Firmware
    logs: Logs
    profiles: dict[int, tuple[int, Payload]] = field(default_factory=dict)
    messages: dict[int, Payload] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)
    tariffs: dict[int, Payload] = field(default_factory=dict)
    costs: dict[str, float] = field(default_factory=dict)

    @property
    def now(self) -> datetime:
        """The time."""
        return self.point.timers.clock.utc()

    def evse(self, number: int) -> Connector | None:
        """Return an EVSE."""
        return self.point.connectors.get(number)

    def by_transaction(self, name: str) -> Connector | None:
        """Return the EVSE of a running transaction."""
        for connector in self.point.sessions():
            assert connector.session is not None
            if connector.session.record.transaction_id == name:
                return connector
        return None

    def afterwards(self, *calls: Call) -> None:
        """Send something once the answer is sent."""
        self.point.afterwards.append(lambda: self.point.calls.send(*calls))

    def report(
        self, action: str, member: str, items: Sequence[Payload], request: int, **more: Any
    ) -> None:
        """Send a report in parts once the answer is sent."""
        parts = [items[start : start + PART] for start in range(0, len(items), PART)]
        now = write_time(self.now)
        calls = []
        for place, part in enumerate(parts):
            payload = {
                "requestId": request,
                "generatedAt": now,
                "seqNo": place,
                "tbc": place + 1 < len(parts),
                member: part,
                **more,
            }
            calls.append(constant(action, payload))
        self.afterwards(*calls)


Command = Callable[[Context, Payload], Payload]
"""Carries out a command and returns its answer; raises CallError."""


def constant(action: str, payload: Payload, **how: Any) -> Call:
    """Return a call whose payload is known already."""
    return Call(action, lambda: payload, **how)


def new_transaction_id() -> str:
    """Return a name that no transaction of any charging point has had; no seed repeats it."""
    return str(uuid.uuid4())


def known_of(info: Payload) -> Known:
    """Read an IdTokenInfoType."""
    group = info.get("groupIdToken")
    return Known(
        info.get("status", "Invalid"),
        None if group is None else group["idToken"],
        read_optional_time(info.get("cacheExpiryDateTime")),
    )
