"""Exponential backoff with jitter, for whatever is tried again."""

from __future__ import annotations

import random


class Backoff:
    """Doubles the delay of each try in a row, up to a cap.

    Between half and the whole of each delay is random, so that processes that lost the same
    database or hub do not come back together.
    """

    def __init__(self, most_seconds: float, first_seconds: float = 0.1) -> None:
        self._most = most_seconds
        self._first = first_seconds
        self._tries = 0

    def reset(self) -> None:
        """Start again from the first delay, after a success."""
        self._tries = 0

    def seconds(self) -> float:
        """Return the delay before the next try."""
        # The exponent is bounded too: 2.0 ** 1024 raises OverflowError.
        delay = min(self._most, self._first * 2.0 ** min(self._tries, 32))
        self._tries += 1
        return delay * random.uniform(0.5, 1)  # noqa: S311 - jitter, no secret
