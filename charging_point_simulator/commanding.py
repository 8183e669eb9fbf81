"""The central system's calls to a charging point: checked, carried out, answered, or faulty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charging_point_simulator.faulty_answers import Faults
from charging_point_simulator.schemas import Schemas
from charging_point_simulator.station.calls import CallError
from charging_point_simulator.station.charging_point import ChargingPoint

Payload = dict[str, Any]
CarryOut = Callable[[str, Payload], Payload]
"""Carries out a command whose payload has passed its schema; raises CallError."""


def nothing_instead(action: str, payload: Payload) -> Payload | None:
    """Carry out every command."""
    return None


class Commanding:
    """Takes the calls of the central system.

    instead: returns the answer to a command that is not carried out, None for one that is.
    """

    def __init__(
        self,
        point: ChargingPoint,
        schemas: Schemas,
        carry_out: CarryOut,
        faults: Faults,
        instead: Callable[[str, Payload], Payload | None],
    ) -> None:
        self._point = point
        self._schemas = schemas
        self._carry_out = carry_out
        self._faults = faults
        self._instead = instead

    def answer(self, message_id: Any, action: str, payload: Any) -> None:
        """Take a call."""
        point, fault = self._point, self._faults.of(action)
        connection = point.calls.connection

        def now() -> None:
            if point.calls.connected and point.calls.connection == connection:
                self._answer(message_id, action, payload)

        if fault is not None and fault.silent:
            return
        if fault is not None and fault.delay_seconds:
            point.timers.after(fault.delay_seconds, now)
        else:
            now()

    def _answer(self, message_id: Any, action: str, payload: Any) -> None:
        point, fault = self._point, self._faults.of(action)
        try:
            self._schemas.check_request(action, payload)
        except CallError as error:
            point.calls.report_violation(str(error))
            point.calls.refuse(message_id, error)
            return
        try:
            if fault is not None and fault.answer is not None:
                result = fault.answer(action)
            else:
                instead = self._instead(action, payload)
                result = self._carry_out(action, payload) if instead is None else instead
        except CallError as error:
            point.afterwards.clear()
            point.calls.refuse(message_id, error)
            return
        point.calls.answer(message_id, action, result)
        effects, point.afterwards = point.afterwards, []
        for effect in effects:
            effect()
