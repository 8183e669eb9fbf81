"""A charging session: its states, why it ended, and how it is referred to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MAX_SESSION_ID = 2**31 - 1
"""OCPP 1.6's transactionId is an int32, and so is our `sessions.session_id`."""


class SessionState(StrEnum):
    """The life of a session: charging → ended. There is no way back."""

    CHARGING = "charging"
    ENDED = "ended"


class StopCause(StrEnum):
    """Why a session ended. The charging point's own word stands beside it in the database."""

    LOCAL = "local"
    """At the charging point, by its driver: the usual end."""
    REMOTE = "remote"
    """By a command: the driver's app, or an operator."""
    UNPLUGGED = "unplugged"
    """The vehicle was disconnected."""
    VEHICLE = "vehicle"
    """The vehicle ended it."""
    UNLOCKED = "unlocked"
    """The connector was unlocked by a command."""
    LIMIT = "limit"
    """An amount of energy, time, charge or money was reached."""
    NOT_AUTHORIZED = "not_authorized"
    """The token may not charge (any more)."""
    NO_VEHICLE = "no_vehicle"
    """No vehicle was connected in time."""
    RESTART = "restart"
    """The charging point was restarted in an orderly way."""
    HARD_RESTART = "hard_restart"
    """… or without waiting for its sessions."""
    POWER_LOSS = "power_loss"
    EMERGENCY_STOP = "emergency_stop"
    FAULT = "fault"
    """An electrical fault."""
    OTHER = "other"
    """Something else, or a word that we do not know."""

    @property
    def broken_off(self) -> bool:
        """Whether the session was cut off: neither driver nor vehicle nor operator ended it."""
        return self in _BROKEN_OFF


_BROKEN_OFF = frozenset(
    {
        StopCause.HARD_RESTART,
        StopCause.POWER_LOSS,
        StopCause.EMERGENCY_STOP,
        StopCause.FAULT,
    }
)


@dataclass(frozen=True, slots=True)
class SessionReference:
    """A session as a charging point names it: by our number or by a name of its own.

    OCPP 1.6 repeats the number that we gave; 2.x makes up a text. Neither is set when it named
    one that cannot be (1.6's charging points say -1 or 0 when they have lost our answer).
    """

    session_id: int | None = None
    station_session: str | None = None


def numbered_session(number: int) -> SessionReference:
    """Return the reference that a number of OCPP 1.6 is."""
    return SessionReference(session_id=number if 0 < number <= MAX_SESSION_ID else None)
