"""Clocks of charging points that are wrong: what is billed and shown instead of their times."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

MAX_AHEAD = timedelta(minutes=10)
"""A time further ahead of its receipt is that of a wrong clock: nothing is told before it is."""
MAX_BEHIND = timedelta(days=60)
"""A time further behind its receipt is that of a wrong clock: buffers of charging points that
were offline reach back for days or weeks, clocks without a battery to 1970 or their making."""


class Clocked(NamedTuple):
    """A time as it is billed and shown. reported: as it came, where that is another one."""

    at: datetime
    reported: datetime | None

    @property
    def doubtful(self) -> bool:
        """Whether the charging point's clock was wrong."""
        return self.reported is not None


def judge_time(reported: datetime, received_at: datetime) -> Clocked:
    """Replace a time that its receipt contradicts.

    Both aware. A time up to MAX_BEHIND before its receipt stays as it is: it may have waited in
    a charging point that was offline.
    """
    if received_at - MAX_BEHIND <= reported <= received_at + MAX_AHEAD:
        return Clocked(reported, None)
    return Clocked(received_at, reported)
