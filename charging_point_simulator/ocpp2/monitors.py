"""Monitors of variables, and the events that they cause. Source: OCPP 2.0.1 part 2, N02 to N08."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from charging_point_simulator.ocpp2.variables import MAX_ITEMS, Variable, Variables
from charging_point_simulator.station.calls import Call, CallError
from charging_point_simulator.station.charging_point import ChargingPoint
from charging_point_simulator.station.timers import Timer, write_time

Payload = dict[str, Any]
_PERIODIC = ("Periodic", "PeriodicClockAligned")
MAX_MONITORS = 100


@dataclass(eq=False)
class Monitor:
    """A monitor. alarmed: whether its threshold is exceeded. last: the value last reported."""

    number: int
    variable: Variable
    kind: str
    value: float
    severity: int
    alarmed: bool = False
    last: str = ""
    timer: Timer | None = None

    def described(self, version: str) -> Payload:
        """Return it as a report does."""
        written: Payload = {
            "id": self.number,
            "transaction": False,
            "value": self.value,
            "type": self.kind,
            "severity": self.severity,
        }
        if version != "2.0.1":
            written["eventNotificationType"] = "CustomMonitor"
        return written


class Monitors:
    """The monitors of one charging point. level: the least urgent severity that is reported."""

    def __init__(self, point: ChargingPoint, variables: Variables, version: str) -> None:
        self._version = version
        self.level = 9
        self._point = point
        self._variables = variables
        self._monitors: dict[int, Monitor] = {}
        self._events = 0
        self._next = 1

    def set(self, wanted: list[Payload]) -> list[Payload]:
        """Return the results of SetVariableMonitoring. Raises CallError."""
        if len(wanted) > MAX_ITEMS:
            raise CallError("OccurrenceConstraintViolation", f"more than {MAX_ITEMS} monitors")
        return [self._set(each) for each in wanted]

    def _set(self, wanted: Payload) -> Payload:
        result = {
            "type": wanted["type"],
            "severity": wanted["severity"],
            "component": wanted["component"],
            "variable": wanted["variable"],
        }
        found = self._variables.find(wanted["component"], wanted["variable"])
        if isinstance(found, str):
            return {**result, "status": found}
        if not found.measured or wanted["type"] not in (
            *_PERIODIC,
            *("UpperThreshold", "LowerThreshold", "Delta"),
        ):
            return {**result, "status": "UnsupportedMonitorType"}
        number = wanted.get("id")
        before = None if number is None else self._monitors.get(number)
        if (number is not None and before is None) or len(self._monitors) >= MAX_MONITORS:
            return {**result, "status": "Rejected"}
        same = [m for m in self._monitors.values() if self._is_same(m, found, wanted)]
        if before is None and same:
            return {**result, "status": "Duplicate"}
        if before is not None:
            self._forget(before)
        if number is None:
            number, self._next = self._next, self._next + 1
        monitor = Monitor(number, found, wanted["type"], wanted["value"], wanted["severity"])
        assert found.read is not None
        monitor.last = found.read()
        self._monitors[number] = monitor
        if monitor.kind in _PERIODIC:
            self._point.afterwards.append(lambda: self._plan(monitor))
        self._point.afterwards.append(self.look)
        return {**result, "id": number, "status": "Accepted"}

    def _is_same(self, monitor: Monitor, variable: Variable, wanted: Payload) -> bool:
        kind, severity = wanted["type"], wanted["severity"]
        return monitor.variable is variable and (monitor.kind, monitor.severity) == (kind, severity)

    def clear(self, numbers: list[int]) -> list[Payload]:
        """Return the results of ClearVariableMonitoring."""
        results = []
        for number in numbers:
            monitor = self._monitors.get(number)
            if monitor is not None:
                self._forget(monitor)
            status = "NotFound" if monitor is None else "Accepted"
            results.append({"id": number, "status": status})
        return results

    def clear_all(self) -> None:
        """Remove all."""
        for monitor in [*self._monitors.values()]:
            self._forget(monitor)

    def report(self, wanted: Callable[[Monitor], bool]) -> list[Payload]:
        """Return what GetMonitoringReport asks for."""
        by_variable: dict[Variable, list[Payload]] = {}
        for monitor in self._monitors.values():
            if wanted(monitor):
                by_variable.setdefault(monitor.variable, []).append(
                    monitor.described(self._version)
                )
        return [
            {**variable.names, "variableMonitoring": monitors}
            for variable, monitors in by_variable.items()
        ]

    def look_soon(self) -> None:
        """Look once what happens now has happened."""
        if self._monitors:
            self._point.timers.after(0, self.look)

    def look(self) -> None:
        """Report what exceeds a threshold now, or has changed by as much as is watched."""
        for monitor in [*self._monitors.values()]:
            assert monitor.variable.read is not None
            value = monitor.variable.read()
            if monitor.kind == "Delta":
                if self._changed(monitor, value):
                    monitor.last = value
                    self._report(monitor, value, "Delta")
                continue
            if monitor.kind in _PERIODIC:
                continue
            upper = monitor.kind == "UpperThreshold"
            number = float(value)
            alarmed = number > monitor.value if upper else number < monitor.value
            if alarmed != monitor.alarmed:
                monitor.alarmed = alarmed
                self._report(monitor, value, "Alerting", cleared=not alarmed)

    def _changed(self, monitor: Monitor, value: str) -> bool:
        try:
            return abs(float(value) - float(monitor.last)) >= monitor.value
        except ValueError:  # a word: any other is a change
            return value != monitor.last

    def _plan(self, monitor: Monitor) -> None:
        def due() -> None:
            assert monitor.variable.read is not None
            self._report(monitor, monitor.variable.read(), "Periodic")
            self._plan(monitor)

        wait = monitor.value
        if monitor.kind == "PeriodicClockAligned":
            wait -= self._point.timers.clock.utc().timestamp() % monitor.value
        monitor.timer = self._point.timers.after(max(1.0, wait), due)

    def _forget(self, monitor: Monitor) -> None:
        del self._monitors[monitor.number]
        if monitor.timer is not None:
            monitor.timer.cancel()

    def _report(self, monitor: Monitor, value: str, trigger: str, *, cleared: bool = False) -> None:
        if monitor.severity > self.level:
            return
        self._events += 1
        now = write_time(self._point.timers.clock.utc())
        event: Payload = {
            "eventId": self._events,
            "timestamp": now,
            "trigger": trigger,
            "actualValue": value,
            "eventNotificationType": "CustomMonitor",
            "variableMonitoringId": monitor.number,
            **monitor.variable.names,
        }
        if cleared:
            event["cleared"] = True
        payload = {"generatedAt": now, "seqNo": 0, "eventData": [event]}
        self._point.calls.send(Call("NotifyEvent", lambda: payload))
