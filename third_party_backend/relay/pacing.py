"""When the next call may go."""

from __future__ import annotations

import threading
import time

PACE_MARGIN = 1.03
"""How much further apart calls are than the limit asks: they do not all travel equally fast."""


class Pace:
    """Keeps calls apart, so that a minute never holds more than the hub allows.

    Evenly, without bursts: so nothing is exceeded either when another process takes over.
    """

    def __init__(self, calls_per_minute: float) -> None:
        self._apart_seconds = 60.0 / calls_per_minute * PACE_MARGIN
        self._next = 0.0

    def wait(self, stopped: threading.Event) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        if self._next > now:
            stopped.wait(self._next - now)
        self._next = max(now, self._next) + self._apart_seconds
