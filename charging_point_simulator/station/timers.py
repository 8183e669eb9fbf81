"""The charging point's time, and what it does later. A test brings a clock of its own."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""

    def utc(self) -> datetime:
        """Return the time of day, aware."""


class SystemClock:
    """The machine's clock."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""
        return time.monotonic()

    def utc(self) -> datetime:
        """Return the time of day, aware."""
        return datetime.now(UTC)


class Timer:
    """A callback that waits."""

    __slots__ = ("callback", "cancelled")

    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback = callback
        self.cancelled = False

    def cancel(self) -> None:
        """Do not call it."""
        self.cancelled = True


class Timers:
    """Callbacks by the time at which they are due.

    on_change: called when another timer is the next one.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.on_change: Callable[[], None] = lambda: None
        self._heap: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._last_utc = datetime.fromtimestamp(0, UTC)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call back in so many seconds."""
        timer = Timer(callback)
        due = self.clock.monotonic() + max(0.0, seconds)
        heapq.heappush(self._heap, (due, next(self._numbers), timer))
        if self._heap[0][2] is timer:
            self.on_change()
        return timer

    def next_due(self) -> float | None:
        """Return the seconds until the next callback, None when there is none."""
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        if not self._heap:
            return None
        return max(0.0, self._heap[0][0] - self.clock.monotonic())

    def run_due(self) -> None:
        """Call everything that is due by now."""
        now = self.clock.monotonic()
        while self._heap and self._heap[0][0] <= now:
            timer = heapq.heappop(self._heap)[2]
            if not timer.cancelled:
                timer.callback()

    def timestamp(self) -> datetime:
        """Return the time, whole milliseconds, never the same twice: two readings of a
        charging point have two times.
        """
        now = self.clock.utc()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last_utc = max(now, self._last_utc + timedelta(milliseconds=1))
        return self._last_utc


def write_time(moment: datetime) -> str:
    """Write a time as OCPP does: ISO 8601, UTC, milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
