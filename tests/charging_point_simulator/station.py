"""A simulated charging point without sockets, and the central system's side of its texts."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta

from charging_point_simulator.deviations.chosen import Deviations
from charging_point_simulator.faulty_answers import read_faults
from charging_point_simulator.ocpp16.dialect import Ocpp16
from charging_point_simulator.schemas import SCHEMAS
from charging_point_simulator.station import drivers
from charging_point_simulator.station.calls import Observer
from charging_point_simulator.station.car import Car
from charging_point_simulator.station.charging_point import ChargingPoint, Options
from charging_point_simulator.station.settings import Settings

ANSWERS = {
    "BootNotification": {
        "status": "Accepted",
        "interval": 300,
        "currentTime": "2026-03-01T10:00:00Z",
    },
    "Authorize": {"idTagInfo": {"status": "Accepted"}},
    "Heartbeat": {"currentTime": "2026-03-01T10:00:00Z"},
    "SignCertificate": {"status": "Accepted"},
}


class ManualClock:
    """Time that a test moves."""

    def __init__(self):
        self.seconds = 0.0
        self.start = datetime(2026, 3, 1, 10, tzinfo=UTC)

    def monotonic(self):
        return self.seconds

    def utc(self):
        return self.start + timedelta(seconds=self.seconds)


class Station:
    """A charging point, and a central system that answers its calls as `answers` says."""

    schemas = SCHEMAS["1.6"]

    def __init__(
        self, *, connectors=1, faults=(), deviations=(), settings=None, connect=True, **options
    ):
        self.clock = ManualClock()
        self.violations = []
        self.sent = []
        self.answers = {**ANSWERS}
        self.transactions = 0
        self.calls = 0
        self.point = ChargingPoint(
            "CP0001",
            self.clock,
            lambda point: self.dialect(point, faults, deviations),
            settings=settings or Settings(),
            options=Options(connectors=connectors, **options),
            chance=random.Random(1),
            observer=Observer(violation=self.violations.append),
        )
        if connect:
            self.connect()

    def dialect(self, point, faults, deviations):
        return Ocpp16(point, read_faults(faults), Deviations(deviations).instead)

    def connect(self):
        self.point.on_connected()
        self.exchange()

    def disconnect(self):
        self.point.on_disconnected()

    def car(self, **more):
        parts = {"battery_wh": 50_000, "state_of_charge": 0.2, "max_power_w": 11_000, **more}
        return Car(**parts)

    # The central system.

    def exchange(self):
        """Answer what the charging point sends until it is silent."""
        while self.point.calls.outgoing:
            frame = json.loads(self.point.calls.outgoing.popleft())
            if frame[0] != 2:
                self.last_answer = frame
                continue
            _, message_id, action, payload = frame
            self.schemas.check_request(action, payload)
            self.sent.append((action, payload))
            self.point.receive(json.dumps([3, message_id, self.answer_to(action)]))

    def answer_to(self, action):
        if action in self.answers:
            return self.answers[action]
        if action == "StartTransaction":
            self.transactions += 1
            return {"transactionId": self.transactions, "idTagInfo": {"status": "Accepted"}}
        return {}

    def call(self, action, **payload):
        """Send a command; return its answer's payload, or the code of its error."""
        self.calls += 1
        self.last_answer = None
        self.schemas.check_request(action, payload)
        self.point.receive(json.dumps([2, f"c{self.calls}", action, payload]))
        self.exchange()
        if self.last_answer is None:
            return None
        if self.last_answer[0] == 4:
            return self.last_answer[2]
        self.schemas.check_answer(action, self.last_answer[2])
        return self.last_answer[2]

    def status(self, action, **payload):
        return self.call(action, **payload)["status"]

    # Time.

    def wait(self, seconds):
        """Let time pass, and everything happen that is due; reconnect when it is."""
        end = self.clock.seconds + seconds
        while True:
            due = self.point.timers.next_due()
            if due is None or self.clock.seconds + due > end:
                break
            self.clock.seconds += due
            self.point.timers.run_due()
            self._reconnect()
            self.exchange()
        self.clock.seconds = end
        self._reconnect()
        self.exchange()

    def _reconnect(self):
        calls = self.point.calls
        if calls.broken and calls.connected:
            self.point.on_disconnected()
        if not calls.connected and self.point.away_until <= self.clock.seconds and calls.broken:
            self.connect()

    # What was sent.

    def take(self):
        """Return action and payload of what was sent since the last time."""
        sent, self.sent = self.sent, []
        return sent

    def payloads(self, action):
        return [payload for sent, payload in self.take() if sent == action]

    def statuses(self, connector=1):
        return [
            p["status"]
            for p in self.payloads("StatusNotification")
            if p["connectorId"] == connector
        ]

    # Drivers.

    def plug(self, connector=1, **car):
        drivers.plug(self.point, self.point.connectors[connector], self.car(**car))
        self.exchange()

    def unplug(self, connector=1):
        drivers.unplug(self.point, self.point.connectors[connector])
        self.exchange()

    def tap(self, token="CARD", connector=1):
        results = []
        drivers.present(self.point, self.point.connectors[connector], token, results.append)
        self.exchange()
        return results[0] if results else None

    def charge(self, connector=1, token="CARD", **car):
        """Plug in, tap, and charge for a while at full power."""
        self.plug(connector, **car)
        self.tap(token, connector)
        self.wait(60)
        return self.point.connectors[connector].session
