"""How long to wait before connecting again: longer each time, never two alike."""

from __future__ import annotations

import random

FIRST_SECONDS = 0.5
MAX_SECONDS = 30.0


class Backoff:
    """Exponential, with full jitter: a fleet that fell together must not return together."""

    def __init__(self, first: float = FIRST_SECONDS, longest: float = MAX_SECONDS) -> None:
        self._first = first
        self._longest = longest
        self._ceiling = first

    def next(self) -> float:
        """Return the seconds to wait now; the next wait may be twice as long."""
        seconds = random.uniform(self._first / 2, self._ceiling)  # noqa: S311 - jitter
        self._ceiling = min(self._longest, self._ceiling * 2)
        return seconds

    def reset(self) -> None:
        """Begin anew, after a connection that worked."""
        self._ceiling = self._first
