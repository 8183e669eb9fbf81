"""A charging session at a crowd's charging point, and the messages it must not lose.

Messages are sent one after another, each the same again until it is acknowledged, over however
many connections that takes. So what is acknowledged can be compared with a database.
"""

from __future__ import annotations

import random
import time

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

START, READ, STOP = "StartTransaction", "MeterValues", "StopTransaction"


class Charge:
    """One session. Energy in Wh."""

    __slots__ = (
        "_last_ms",
        "_power_w",
        "_register_wh",
        "acknowledged",
        "ended",
        "meter_start_wh",
        "stopping",
        "transaction_id",
        "unacknowledged",
    )

    def __init__(self) -> None:
        self.meter_start_wh = random.randrange(5_000_000)
        self._register_wh = float(self.meter_start_wh)
        self._power_w = 0.0
        self.transaction_id = 0
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

    def acknowledge(self, transaction_id: int | None) -> None:
        """Take the acknowledgement of what was sent last."""
        assert self.unacknowledged is not None
        action, self.unacknowledged = self.unacknowledged[0], None
        if action == START:
            assert transaction_id is not None
            self.transaction_id = transaction_id
        elif action == READ:
            self.acknowledged += 1
        else:
            self.ended = True

    def _write(self, id_tag: str) -> tuple[str, str]:
        before_ms = self._last_ms
        now = self._timestamp()
        # Energy is the integral of the power that was reported.
        self._register_wh += self._power_w * (self._last_ms - before_ms) / 3_600_000
        if not self.transaction_id:
            self._power_w = 10_000 + 1_000 * random.random()
            return START, (
                f'{{"connectorId":1,"idTag":"{id_tag}","meterStart":{self.meter_wh},'
                f'"timestamp":"{now}"}}'
            )
        if self.stopping:
            return STOP, (
                f'{{"transactionId":{self.transaction_id},"meterStop":{self.meter_wh},'
                f'"timestamp":"{now}","reason":"Local"}}'
            )
        chance = random.random()
        power_w = self._power_w
        current_a = power_w / 690
        return READ, _READING % (
            self.transaction_id,
            now,
            self.meter_wh,
            power_w,
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


_written: tuple[int, str] = (0, "")


def _second(seconds: int) -> str:
    """Write a second of time; the same one is asked for thousands of times."""
    global _written
    if _written[0] != seconds:
        _written = (seconds, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)))
    return _written[1]
