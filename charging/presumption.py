"""Ends of sessions that nobody reported: why one is taken to have ended, and at what register.

A stop can be lost for ever: the charging point was switched off, lost its memory, or names a
session of before. What is presumed is marked so, bills no more than a reading has shown, and is
corrected by a late fact.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from charging.metering import Register, measure_session


class Presumption(StrEnum):
    """Why a session is taken to have ended."""

    LATER_START = "later_start"
    """Another one began at its EVSE."""
    RESTART = "restart"
    """Its charging point was restarted, and its EVSE does not charge since."""
    AVAILABLE = "available"
    """Its EVSE is free."""
    OPERATOR = "operator"
    """An operator ended it here."""


def presumed_end(start: Register, readings: Sequence[Register]) -> Register:
    """Return the last register of a session that can be right, and its time.

    readings: in any order. One that jumps, falls or shows a glitch is passed over; without any,
    the session ends as it began and bills nothing.
    """
    energy = measure_session(start, readings)
    glitches = set(energy.glitches)
    last = max(
        (each.at for each in readings if each.at >= start.at and each not in glitches),
        default=start.at,
    )
    return Register(last, start.energy_wh + energy.energy_wh)
