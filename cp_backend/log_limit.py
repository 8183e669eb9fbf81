"""Log lines that charging points cause: a few of one cause from each in a minute, then a count.

A charging point that sends nothing but garbage must fill no disk and hide no other's lines.
"""

from __future__ import annotations

import logging

from cp_backend.vocabulary import JsonObject

LINES = 5
"""Of one cause and charging point in a minute."""
MINUTE_SECONDS = 60.0
MAX_CAUSES = 10_000
"""Counted at once; beyond them nothing more is logged in the same minute."""

log = logging.getLogger(__name__)


class LogLimit:
    """Counts the lines of a minute by charging point and text."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._began_at = 0.0
        self._left_out = 0

    def log(self, logger: logging.Logger, level: int, text: str, extra: JsonObject) -> None:
        """Log a line, unless too many like it came in this minute. extra: has charging_point."""
        cause = (extra["charging_point"], text)
        count = self._counts.get(cause, 0) + 1
        if count == 1 and len(self._counts) >= MAX_CAUSES:
            self._left_out += 1
            return
        self._counts[cause] = count
        if count <= LINES:
            logger.log(level, text, extra=extra)

    def turn(self, now: float) -> None:
        """Begin a new minute when it is time, and log what was left out. now: in seconds."""
        if now - self._began_at < MINUTE_SECONDS:
            return
        counts, self._counts = self._counts, {}
        left_out, self._left_out = self._left_out, 0
        self._began_at = now
        for (charging_point, text), count in counts.items():
            if count > LINES:
                extra = {"charging_point": charging_point, "line": text, "count": count - LINES}
                log.warning("log lines left out", extra=extra)
        if left_out:
            log.warning("log lines left out", extra={"count": left_out})
