"""One timer wheel for everything in a process that waits for seconds.

A timer a connection would cost 100,000 timers; here a connection stands in one slot of a list
at a time and nothing is ever cancelled: each entry checks when due whether it is still needed.
"""

from __future__ import annotations

import logging
import math
from typing import Protocol

SLOTS = 512

log = logging.getLogger(__name__)


class Due(Protocol):
    """What can stand in the wheel."""

    def on_due(self, now: int) -> float | None:
        """Do what is due; return the seconds until next time, None to leave the wheel."""

    def abort(self, cause: str) -> None:
        """Give up what it stands for: it failed when it was due."""


class TimerWheel:
    """Slots of a second each. A wait beyond the wheel goes round again."""

    def __init__(self) -> None:
        self.now = 0
        """Seconds since the wheel began; one int object that all connections share."""
        self.lost = 0
        """Seconds since then that are not in `now`: the process stood still."""
        self._slots: list[list[tuple[int, Due] | Due]] = [[] for _ in range(SLOTS)]

    def schedule(self, due: Due, seconds: float) -> None:
        """Call `due.on_due` in so many seconds, rounded up to the next tick and never early."""
        ticks = max(1, math.ceil(seconds))
        slot = self._slots[(self.now + ticks) % SLOTS]
        # The tuple is for the rare wait that is longer than the wheel.
        slot.append(due if ticks < SLOTS else (self.now + ticks, due))

    def tick(self) -> None:
        """Advance by one second and call what is due."""
        self.now += 1
        index = self.now % SLOTS
        slot, self._slots[index] = self._slots[index], []
        for entry in slot:
            if isinstance(entry, tuple):
                at, due = entry
                if at > self.now:
                    self._slots[index].append(entry)
                    continue
            else:
                due = entry
            try:
                again = due.on_due(self.now)
            except Exception:
                # One entry's defect must not keep the others from their turn.
                log.exception("failed when due")
                due.abort("defect")
                continue
            if again is not None:
                self.schedule(due, again)
