"""When the next call may go: evenly spaced while all is well, ever later while it is not."""

from __future__ import annotations

import random
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


class Backoff:
    """Seconds between tries: they double from a half up to a bound.

    Up to half of each is random, so that processes that failed together do not retry together.
    """

    def __init__(self, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._tries = 0

    def reset(self) -> None:
        """Begin anew."""
        self._tries = 0

    def seconds(self) -> float:
        """Return how long to wait before the next try."""
        self._tries += 1
        return min(self._most_seconds, 0.5 * 2.0 ** min(self._tries, 16)) * random.uniform(0.5, 1)  # noqa: S311
