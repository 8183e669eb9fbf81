"""A charging session: what it is, and what its two meter readings are worth."""

from __future__ import annotations

from enum import StrEnum


class SessionState(StrEnum):
    """The life of a session: charging → ended. There is no way back."""

    CHARGING = "charging"
    ENDED = "ended"


class Unstarted(StrEnum):
    """Why a session that the hub knows ended before anything could be charged."""

    NO_VEHICLE = "no_vehicle"
    """Nobody plugged in in time."""
    STOPPED = "stopped"
    """The driver changed his mind."""
    TOO_LATE = "too_late"
    """The hub authorized it when nobody waited any more."""


def energy_wh(meter_start_wh: int, meter_stop_wh: int) -> int:
    """Return the energy a session took, in Wh.

    A register that ran backwards (a replaced meter, a reset) is worth 0 Wh, not a negative
    bill; both readings stay in the session for whoever looks into it.
    """
    return max(0, meter_stop_wh - meter_start_wh)
