"""A charging session at a crowd's charging point, and the messages it must not lose.

Messages are sent one after another, each the same again until it is acknowledged, over however
many connections that takes. So what is acknowledged can be compared with a database.
"""

from __future__ import annotations

import random
import time
from typing import Any

# A car on three phases, in the eight values that charging points usually send.
_READING = (
    '{"connectorId":1,"transactionId":%d,"meterValue":[{"timestamp":"%s","sampledValue":['
    '{"value":"%d","context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
    '"unit":"Wh"},'
    '{"value":"%.1f","context":"Sample.Periodic","measurand":"Power.Active.Import","unit":"W"},'
    '{"value":"%.2f","measurand":"Current.Import","phase":"L1","unit":"A"},'
    '{"value":"%.2f","measurand":"Current.Import","phase":"L2","unit":"A"},'
    '{"value":"%.2f","measurand":"Current.Import","phase":"L3","unit":"A"},'
    '{"value":"%.1f","measurand":"Voltage","phase":"L1-N","unit":"V"},'
    '{"value":"%.1f","measurand":"Temperature","location":"Body","unit":"Celsius"},'
    '{"value":"%d","measurand":"SoC","location":"EV","unit":"Percent"}]}]}'
)

# The same of OCPP 2.0.1, with the same eight values.
_EVENT = (
    '{"eventType":"Updated","timestamp":"%s","triggerReason":"MeterValuePeriodic","seqNo":%d,'
    '"transactionInfo":{"transactionId":"%s","chargingState":"Charging"},'
    '"meterValue":[{"timestamp":"%s","sampledValue":['
    '{"value":%d,"context":"Sample.Periodic","measurand":"Energy.Active.Import.Register",'
    '"unitOfMeasure":{"unit":"Wh"}},'
    '{"value":%.1f,"context":"Sample.Periodic","measurand":"Power.Active.Import",'
    '"unitOfMeasure":{"unit":"W"}},'
    '{"value":%.2f,"measurand":"Current.Import","phase":"L1","unitOfMeasure":{"unit":"A"}},'
    '{"value":%.2f,"measurand":"Current.Import","phase":"L2","unitOfMeasure":{"unit":"A"}},'
    '{"value":%.2f,"measurand":"Current.Import","phase":"L3","unitOfMeasure":{"unit":"A"}},'
    '{"value":%.1f,"measurand":"Voltage","phase":"L1-N","unitOfMeasure":{"unit":"V"}},'
    '{"value":%.1f,"measurand":"Temperature","location":"Body","unitOfMeasure":{"unit":"Celsius"}},'
    '{"value":%d,"measurand":"SoC","location":"EV","unitOfMeasure":{"unit":"Percent"}}]}]}'
)

START, READ, STOP = "start", "reading", "stop"
"""What a charge reports: its steps, whatever the version calls them."""
_ACTIONS = {START: "StartTransaction", READ: "MeterValues", STOP: "StopTransaction"}


class Charge:
    """One session, as OCPP 1.6 reports it. Energy in Wh."""

    __slots__ = (
        "_last_ms",
        "_power_w",
        "_register_wh",
        "_step",
        "acknowledged",
        "ended",
        "meter_start_wh",
        "stopping",
        "transaction_id",
        "transaction_name",
        "unacknowledged",
    )

    def __init__(self) -> None:
        self.meter_start_wh = random.randrange(5_000_000)
        self._register_wh = float(self.meter_start_wh)
        self._power_w = 0.0
        self.transaction_id = 0
        self.transaction_name = ""
        """Its own name of the session, where the version lets it name one."""
        self._step = ""
        self.acknowledged = 0
        """Readings that the backend has acknowledged."""
        self.stopping = False
        self.ended = False
        self.unacknowledged: tuple[str, str] | None = None
        """Action and payload of what is sent until it is acknowledged."""
        self._last_ms = 0

    @property
    def meter_wh(self) -> int:
        """The register."""
        return int(self._register_wh)

    def next_message(self, id_tag: str) -> tuple[str, str]:
        """Return action and payload of what is to be sent now."""
        if self.unacknowledged is None:
            self.unacknowledged = self._write(id_tag)
        return self.unacknowledged

    def acknowledge(self, answer: dict[str, Any]) -> str:
        """Take the acknowledgement of what was sent last; return which step it was."""
        assert self.unacknowledged is not None
        self.unacknowledged = None
        if self._step == START:
            self._on_started(answer)
        elif self._step == READ:
            self.acknowledged += 1
        else:
            self._on_ended()
            self.ended = True
        return self._step

    def _on_started(self, answer: dict[str, Any]) -> None:
        self.transaction_id = int(answer["transactionId"])

    def _on_ended(self) -> None:
        """Nothing else was reported with it."""

    def _write(self, id_tag: str) -> tuple[str, str]:
        before_ms = self._last_ms
        now = self._timestamp()
        # Energy is the integral of the power that was reported.
        self._register_wh += self._power_w * (self._last_ms - before_ms) / 3_600_000
        if not self.transaction_id:
            self._power_w = 10_000 + 1_000 * random.random()
            self._step = START
        else:
            self._step = STOP if self.stopping else READ
        return self._message(id_tag, now)

    def _message(self, id_tag: str, now: str) -> tuple[str, str]:
        if self._step == START:
            payload = (
                f'{{"connectorId":1,"idTag":"{id_tag}","meterStart":{self.meter_wh},'
                f'"timestamp":"{now}"}}'
            )
        elif self._step == STOP:
            payload = (
                f'{{"transactionId":{self.transaction_id},"meterStop":{self.meter_wh},'
                f'"timestamp":"{now}","reason":"Local"}}'
            )
        else:
            payload = _READING % (self.transaction_id, now, *self._samples())
        return _ACTIONS[self._step], payload

    def _samples(self) -> tuple[float, ...]:
        chance = random.random()
        current_a = self._power_w / 690
        return (
            self.meter_wh,
            self._power_w,
            current_a,
            current_a - 0.05,
            current_a + 0.05,
            229 + chance * 2,
            35 + chance,
            20 + (self.meter_wh - self.meter_start_wh) // 1_000 % 80,
        )

    def _timestamp(self) -> str:
        # Never the same twice: a backend may take two readings of one moment for one.
        self._last_ms = max(self._last_ms + 1, time.time_ns() // 1_000_000)
        seconds, ms = divmod(self._last_ms, 1000)
        return f"{_second(seconds)}.{ms:03d}Z"


class NamedCharge(Charge):
    """One session, as OCPP 2.0.1 reports it: named by the charging point, its events numbered.

    The register comes with the start and with the end, so each of them is a reading, too.
    """

    __slots__ = ("_sequence",)

    def __init__(self) -> None:
        super().__init__()
        self.transaction_name = f"{random.getrandbits(128):032x}"
        self._sequence = 0

    def _on_started(self, answer: dict[str, Any]) -> None:
        self.transaction_id = 1  # it is known there now, by its name
        self.acknowledged += 1

    def _on_ended(self) -> None:
        self.acknowledged += 1

    def _message(self, id_tag: str, now: str) -> tuple[str, str]:
        place, self._sequence = self._sequence, self._sequence + 1
        if self._step == READ:
            payload = _EVENT % (now, place, self.transaction_name, now, *self._samples())
            return "TransactionEvent", payload
        starting = self._step == START
        kind, because = ("Started", "Authorized") if starting else ("Ended", "StopAuthorized")
        rest = (
            f',"evse":{{"id":1,"connectorId":1}},"idToken":{{"idToken":"{id_tag}","type":"Central"}}'
            if starting
            else ""
        )
        return "TransactionEvent", (
            f'{{"eventType":"{kind}","timestamp":"{now}","triggerReason":"{because}",'
            f'"seqNo":{place},"transactionInfo":{{"transactionId":"{self.transaction_name}"}},'
            f'"meterValue":[{{"timestamp":"{now}","sampledValue":[{{"value":{self.meter_wh}}}]}}]'
            f"{rest}}}"
        )


_written: tuple[int, str] = (0, "")


def _second(seconds: int) -> str:
    """Write a second of time; the same one is asked for thousands of times."""
    global _written
    if _written[0] != seconds:
        _written = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return _written[1]
