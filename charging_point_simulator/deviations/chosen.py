"""The deviations of one charging point."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from charging_point_simulator.deviations import payloads
from charging_point_simulator.deviations.deviation import Payload
from charging_point_simulator.deviations.table import DEVIATIONS
from charging_point_simulator.target import Handshake

_CALL, _CALL_RESULT = 2, 3


class Deviations:
    """The deviations of one charging point, in the order of their names as given.

    Raises ValueError for a name that there is not.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        unknown = [name for name in names if name not in DEVIATIONS]
        if unknown:
            raise ValueError(f"no deviation {unknown[0]!r}; --deviations lists them")
        self._names = names
        # Those with a memory get one of their own.
        memories = {
            "relative-registers": payloads.relative_registers,
            "session-registers": payloads.session_registers,
        }
        self._chosen = [
            replace(DEVIATIONS[name], payload=memories[name]())
            if name in memories
            else DEVIATIONS[name]
            for name in names
        ]

    @property
    def of_payloads(self) -> list[str]:
        """Names of those that know what stands in 1.6's messages."""
        return [
            name
            for name in self._names
            if (d := DEVIATIONS[name]).payload or d.answer or d.instead or d.drop
        ]

    @property
    def boots(self) -> bool:
        """Whether it ever sends a boot."""
        return all(deviation.boots for deviation in self._chosen)

    @property
    def patient(self) -> bool:
        """Whether it stays when it is called before its boot is answered."""
        return all(deviation.patient for deviation in self._chosen)

    @property
    def replays(self) -> bool:
        """Whether it sends the states that it had while it was away."""
        return any(deviation.replays for deviation in self._chosen)

    @property
    def handshake(self) -> Handshake:
        """How it connects."""
        shakes = [deviation.handshake for deviation in self._chosen]
        return Handshake(
            "".join(shake.suffix for shake in shakes),
            any(shake.no_connection_header for shake in shakes),
            any(shake.no_pongs for shake in shakes),
            any(shake.compression for shake in shakes),
        )

    def message_id(self, number: int) -> Any:
        """Return the id of the charging point's call of a number."""
        result: Any = str(number)
        for deviation in self._chosen:
            if deviation.message_id is not None:
                result = deviation.message_id(number)
        return result

    def instead(self, action: str, payload: Payload) -> Payload | None:
        """Return the answer to a command that is not carried out, None for one that is."""
        for deviation in self._chosen:
            answer = None if deviation.instead is None else deviation.instead(action, payload)
            if answer is not None:
                return answer
        return None

    def write(self, frame: list[Any], answered: str = "") -> str | None:
        """Write a frame; None for one that is lost. See `station.calls.Outgoing`."""
        frame = json.loads(json.dumps(frame))  # what is queued stays as it is
        for deviation in self._chosen:
            if frame[0] == _CALL and frame[2] in deviation.drop:
                return None
            if frame[0] == _CALL and deviation.payload is not None:
                deviation.payload(frame[2], frame[3])
            if frame[0] == _CALL_RESULT and deviation.answer is not None:
                deviation.answer(answered, frame[2])
        for deviation in self._chosen:
            if deviation.frame is not None:
                deviation.frame(frame)
        text = json.dumps(frame)
        for deviation in self._chosen:
            if deviation.text is not None:
                text = deviation.text(frame, text)
        return text
